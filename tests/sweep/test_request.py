"""What a command asks for, before anything is started."""

from __future__ import annotations

import pytest

from runner.errors import ConfigError
from runner.sweep.plan import search_differences
from runner.sweep.request import make_request

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def request(*words: str):
    return make_request(["data=digits", "hardware=cpu", *words], None, [])


def test_option_enables_its_own_parameters() -> None:
    made = request("model=mlp,logistic", "model.hidden_sizes=choice([64],[128,64])", LR)
    needs = {p.key: {key: sorted(words) for key, words in p.needs.items()} for p in made.space.parameters}
    assert needs == {"model": {}, "optimizer.lr": {}, "model.hidden_sizes": {"model": ["mlp"]}}
    assert made.objectives == {"val/accuracy": "max"}
    point, _ = made.default_point()
    assert point["model"] == "mlp" and point["optimizer.lr"] == 0.001
    assert made.compose(made.space.overrides(point)).config.model.hidden_sizes == [64]


def test_devices_of_a_trial_are_its_hardware() -> None:
    made = make_request(["data=digits", "model=logistic", "sweep.devices_per_trial=2", LR], None, [])
    assert made.compose([]).config.hardware.devices == 2


@pytest.mark.parametrize(
    ("words", "key", "kind", "said"),
    [
        (
            ["sweep.objectives={val/accuracy:max,seconds:min}", "sweep=asha"],
            "sweep.pruner",
            "incompatible",
            "with several objectives, trials cannot be ranked",
        ),
        (
            ["sweep.objectives={val/accuracy:max,seconds:min}", "sweep=cmaes"],
            "sweep.sampler",
            "incompatible",
            "nsga2 or tpe",
        ),
        (
            ["sweep.objectives={val/accuracy:max}"],
            "sweep.objectives",
            "out_of_bounds",
            "sweep.objective=val/accuracy sweep.mode=max",
        ),
        (
            ["sweep.objectives={val/accuracy:best,seconds:min}"],
            "sweep.objectives.val/accuracy",
            "invalid_value",
            "sweep.objectives.val/accuracy",
        ),
        (["sweep.mode=min"], "sweep.mode", "no_effect", "sweep.objective, which is not given"),
        (["sweep.pruner=wilcoxon"], "sweep.repeats", "missing", "sweep.repeats=5"),
        (["sweep.repeats=2", "sweep=asha"], "sweep.pruner", "incompatible", "take wilcoxon"),
        (["folds=3", "sweep=asha"], "sweep.pruner", "incompatible", "take wilcoxon"),
        (["folds=3", "sweep.repeats=2"], "sweep.repeats", "incompatible", "Give one of them"),
        (["folds.seed=0,1"], "folds.seed", "incompatible", "the same for all trials"),
        (
            ["sweep.sampler_options.n_startup_trails=3"],
            "sweep.sampler_options.n_startup_trails",
            "unknown_key",
            "Did you mean 'n_startup_trials'",
        ),
        (
            ["sweep.sampler_options.n_startup_trials=few"],
            "sweep.sampler_options.n_startup_trials",
            "wrong_type",
            "expected a whole number",
        ),
        (
            ["sweep=asha", "sweep.pruner_options.reduction_factor=1"],
            "sweep.pruner_options",
            "rejected",
            "reduction_factor",
        ),
        (
            ["sweep=grid", "sweep.sampler_options.n=1"],
            "sweep.sampler_options",
            "no_effect",
            "a grid takes none",
        ),
        (
            ["sweep.devices_per_trial=1.5"],
            "sweep.devices_per_trial",
            "out_of_bounds",
            "expected a whole number, or 0.5",
        ),
        (
            ["sweep.devices_per_trial=2", "hardware.devices=4"],
            "sweep.devices_per_trial",
            "incompatible",
            "leave one of them out",
        ),
    ],
)
def test_incompatible_settings(words: list[str], key: str, kind: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        request("model=logistic", LR, *words)
    problems = [problem for problem in error.value.problems if said in str(problem)]
    assert [(problem.key, problem.kind) for problem in problems] == [(key, kind)]


def test_numeric_sampler_requires_numeric_parameters() -> None:
    with pytest.raises(
        ConfigError, match="chooses numbers, and there are none in model.hidden_sizes"
    ) as error:
        request("model=mlp", "model.hidden_sizes=choice([64],[32])", "sweep=cmaes")
    assert [(p.key, p.kind) for p in error.value.problems] == [("sweep.sampler", "incompatible")]


def test_key_of_no_option_is_rejected() -> None:
    with pytest.raises(ConfigError) as error:
        request("model=mlp,logistic", "model.depth=1,2", LR)
    (problem,) = error.value.problems
    assert (problem.key, problem.kind) == ("model.depth", "unknown_key")
    assert "none of model=mlp,logistic takes it" in problem.message


def test_differences_between_searches_are_reported() -> None:
    plan = {"space": {"a": "1,2"}, "objectives": {"val/loss": "min"}, "settings": {"repeats": 1}}
    base = {"a": 1, "seed": 0, "hardware": {"devices": 1}}
    assert search_differences(plan, base, plan, base | {"a": 2, "hardware": {"devices": 2}}) == []
    other = {"space": {"a": "1,3"}, "objectives": {"val/loss": "max"}, "settings": {"repeats": 2}}
    assert search_differences(plan, base, other, base | {"seed": 1}) == [
        "the values of a were 1,2 and are 1,3",
        "the objectives were val/loss (min) and are val/loss (max)",
        "sweep.repeats was 1 and is 2",
        "seed was 0 and is 1",
    ]
    assert search_differences(plan, base | {"b": None}, plan, base | {"c": {}}) == []
