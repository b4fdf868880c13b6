"""The ``folds`` node as users write it."""

from __future__ import annotations

import pytest

from runner.config.checks.folds import of_all_folds
from runner.config.compose import compose


@pytest.mark.parametrize("typed", ["folds=4", "+folds=4", "folds.num_folds=4", "folds={num_folds: 4}"])
def test_four_folds(here, typed: str) -> None:
    config = compose([typed, "folds.seed=2"]).config
    assert config.folds == {"num_folds": 4, "seed": 2}
    assert of_all_folds(config)
    assert not of_all_folds(compose([typed, "folds.index=1"]).config)
    assert not of_all_folds(compose([]).config)


def test_folds_from_a_file(write) -> None:
    file = write("mine.yaml", "folds: 4\n")
    assert compose(["folds.group_column=x"], file).config.folds == {"num_folds": 4, "group_column": "x"}


@pytest.mark.parametrize(
    ("overrides", "key", "kind", "said"),
    [
        (["folds=1"], "folds.num_folds", "out_of_bounds", "expected a number greater than or equal to 2"),
        (["folds=five"], "folds.num_folds", "wrong_type", 'folds.num_folds="five": expected a whole number'),
        (
            ["folds=3", "folds.index=3"],
            "folds.index",
            "out_of_bounds",
            "expected less than folds.num_folds=3",
        ),
        (["folds=3", "folds.num_fold=4"], "folds.num_fold", "unknown_key", "Did you mean 'num_folds'?"),
        (
            ["folds=3", "folds.group_column=a", "folds.group_pattern=b"],
            "folds.group_pattern",
            "incompatible",
            "Give one of them",
        ),
        (
            ["folds=3", "folds.group_pattern='a('"],
            "folds.group_pattern",
            "invalid_value",
            "is not a regular expression",
        ),
        (
            ["folds=3", "data.val_fraction=0.1"],
            "data.val_fraction",
            "no_effect",
            "data.val_fraction would have no effect",
        ),
        (
            ["folds=3", "data=diabetes", "folds.stratified=true"],
            "folds.stratified",
            "incompatible",
            "does not have one class per sample",
        ),
        (["folds=3", "data=tiny_shakespeare", "model=lstm"], "folds", "incompatible", "one continuous text"),
        (
            ["folds=3", "data=shapes_segmentation", "model=unet"],
            "folds",
            "incompatible",
            "its splits are generated separately",
        ),
        (
            ["folds=3", "data=series", "data.path=x.csv", "data.target=y", "data.id_column=i"],
            "data.id_column",
            "incompatible",
            "folds do not work with data.id_column",
        ),
        (["folds=3", "resume=auto"], "resume", "no_effect", "resume=auto would have no effect"),
        (["folds=3", "debug=overfit"], "debug.kind", "incompatible", "needs no validation"),
        (
            ["folds=3", "hardware.num_nodes=2", "launcher.rendezvous=localhost:1"],
            "hardware.num_nodes",
            "incompatible",
            "on one machine",
        ),
    ],
)
def test_incompatible_settings(find, overrides: list[str], key: str, kind: str, said: str) -> None:
    problems = [(problem.key, problem.kind) for problem in find(*overrides) if said in str(problem)]
    assert problems == [(key, kind)], find(*overrides)
