from __future__ import annotations

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from runner.errors import Problem
from runner.sweep.space import Space, is_sweep, parse_parameter


def parameter(key: str, text: str, **needs):
    problems: list[Problem] = []
    found = parse_parameter(key, text, problems, needs)
    assert problems == []
    return found


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("tag(log,interval(1e-4,1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("interval(0,1)", FloatDistribution(0, 1)),
        ("int(interval(1,8))", IntDistribution(1, 8)),
        ("tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("range(1,4)", IntDistribution(1, 3)),
        ("range(0,10,4)", IntDistribution(0, 8, step=4)),
        ("range(0,1,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("16,32,64", CategoricalDistribution((16, 32, 64))),
        ("true,null", CategoricalDistribution((True, None))),
        ("choice([64],[128,64])", CategoricalDistribution(("[64]", "[128,64]"))),
        ("1,true", CategoricalDistribution(("1", "True"))),  # equal in Python: distinguished by their text
    ],
)
def test_hydra_sweep_syntax_maps_to_optuna_distributions(text: str, distribution) -> None:
    assert parameter("key", text).distribution == distribution


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.1", "has a single value"),
        ("interval(1,0)", "low below high"),
        ("tag(log,interval(0,1))", "above 0"),
        ("range(3,1)", "start below stop"),
        ("interval(1", "is not an override"),
        ("glob(*)", "glob"),
    ],
)
def test_invalid_search_space_is_reported(text: str, said: str) -> None:
    problems: list[Problem] = []
    assert parse_parameter("optimizer.lr", text, problems) is None
    (problem,) = problems
    assert problem.key == "optimizer.lr" and problem.kind in ("invalid_value", "unreadable")
    assert said in str(problem) and "optimizer.lr" in problem.message


def test_values_are_formatted_as_overrides() -> None:
    space = Space(
        (
            parameter("model.hidden_sizes", "choice([64],[128,64])"),
            parameter("optimizer.lr", "interval(0,1)"),
            parameter("name", "'a b','c,d'"),
        )
    )
    values = {"model.hidden_sizes": "[128,64]", "optimizer.lr": 1e-5, "name": "'c,d'"}
    lines = space.overrides(values)
    assert lines == ["model.hidden_sizes=[128,64]", "optimizer.lr=1e-05", "name='c,d'"]
    assert not any(is_sweep(line) for line in lines)


def conditional() -> Space:
    return Space(
        (
            parameter("model", "mlp,logistic"),
            parameter("seed", "range(0,2)"),
            parameter("model.hidden_sizes", "choice([64],[128,64])", model=["mlp"]),
        )
    )


def test_parameter_is_conditional_on_its_option() -> None:
    study = optuna.create_study()
    seen = set()
    for _ in range(20):
        trial = study.ask()
        values = conditional().suggest(trial)
        assert ("model.hidden_sizes" in values) == (values["model"] == "mlp")
        assert conditional().suggest(trial) == values  # asked again, the same
        seen.add(values["model"])
    assert seen == {"mlp", "logistic"}


def test_grid_contains_every_point_once() -> None:
    points = conditional().grid()
    assert len(points) == 2 * 2 + 2
    assert {"model": "logistic", "seed": 1} in points
    assert conditional().continuous_keys() == []
    assert Space((parameter("lr", "interval(0,1)"),)).continuous_keys() == ["lr"]


def test_nearest_point() -> None:
    assert parameter("a", "interval(1,2)").nearest(5.0) == 2.0
    assert parameter("a", "range(0,10,4)").nearest(5) == 4
    assert parameter("a", "16,32,64").nearest(40) == 32
    hidden = parameter("a", "choice([64],[128,64])")
    assert hidden.nearest([128, 64]) == "[128,64]" and hidden.nearest([256]) == "[64]"
    assert hidden.contains([64]) and not hidden.contains([256])
    assert conditional().point({"model": "logistic", "seed": 7}) == {"model": "logistic", "seed": 1}
