"""What a command asks for, before anything is started."""

from __future__ import annotations

import pytest

from runner.errors import ConfigError
from runner.sweep.plan import changes
from runner.sweep.request import make_request

LR = "optimizer.lr=tag(log,interval(1e-4,1e-1))"


def request(*words: str):
    return make_request(["data=digits", "hardware=cpu", *words], None, [])


def test_an_option_opens_its_own_parameters() -> None:
    made = request("model=mlp,logistic", "model.hidden_sizes=choice([64],[128,64])", LR)
    needs = {p.key: {key: sorted(words) for key, words in p.needs.items()} for p in made.space.parameters}
    assert needs == {"model": {}, "optimizer.lr": {}, "model.hidden_sizes": {"model": ["mlp"]}}
    assert made.objectives == {"val/accuracy": "max"}
    point, moved = made.default_point()
    assert point["model"] == "mlp" and point["optimizer.lr"] == 0.001
    assert made.compose(made.space.overrides(point)).config.model.hidden_sizes == [64]


def test_devices_of_a_trial_are_its_hardware() -> None:
    made = make_request(["data=digits", "model=logistic", "sweep.devices_per_trial=2", LR], None, [])
    assert made.compose([]).config.hardware.devices == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["sweep.objectives={val/accuracy:max,seconds:min}", "sweep=asha"],
            "with several objectives, trials cannot be ranked",
        ),
        (["sweep.objectives={val/accuracy:max,seconds:min}", "sweep=cmaes"], "nsga2 or tpe"),
        (["sweep.objectives={val/accuracy:max}"], "sweep.objective=val/accuracy sweep.mode=max"),
        (["sweep.objectives={val/accuracy:best,seconds:min}"], "sweep.objectives.val/accuracy"),
        (["sweep.mode=min"], "sweep.objective, which is not given"),
        (["sweep.pruner=wilcoxon"], "sweep.repeats=5"),
        (["sweep.repeats=2", "sweep=asha"], "take wilcoxon"),
        (["folds=3", "sweep=asha"], "take wilcoxon"),
        (["folds=3", "sweep.repeats=2"], "Give one of them"),
        (["folds.seed=0,1"], "the same for all trials"),
        (["sweep.sampler_options.n_startup_trails=3"], "Did you mean 'n_startup_trials'"),
        (["sweep.sampler_options.n_startup_trials=few"], "expected a whole number"),
        (["sweep=asha", "sweep.pruner_options.reduction_factor=1"], "reduction_factor"),
        (["sweep=grid", "sweep.sampler_options.n=1"], "a grid takes none"),
        (["sweep.devices_per_trial=1.5"], "expected a whole number, or 0.5"),
        (["sweep.devices_per_trial=2", "hardware.devices=4"], "leave one of them out"),
    ],
)
def test_settings_that_do_not_go_together(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        request("model=logistic", LR, *words)
    assert said in str(error.value)


def test_a_sampler_of_numbers_wants_some() -> None:
    with pytest.raises(ConfigError, match="chooses numbers, and there are none in model.hidden_sizes"):
        request("model=mlp", "model.hidden_sizes=choice([64],[32])", "sweep=cmaes")


def test_another_search_is_told_from_the_same_one() -> None:
    plan = {"space": {"a": "1,2"}, "objectives": {"val/loss": "min"}, "settings": {"repeats": 1}}
    base = {"a": 1, "seed": 0, "hardware": {"devices": 1}}
    assert changes(plan, base, plan, base | {"a": 2, "hardware": {"devices": 2}}) == []
    other = {"space": {"a": "1,3"}, "objectives": {"val/loss": "max"}, "settings": {"repeats": 2}}
    assert changes(plan, base, other, base | {"seed": 1}) == [
        "the values of a were 1,2 and are 1,3",
        "it searched by val/loss (min) and is to search by val/loss (max)",
        "sweep.repeats was 1 and is 2",
        "seed was 0 and is 1",
    ]
    assert changes(plan, base | {"b": None}, plan, base | {"c": {}}) == []
