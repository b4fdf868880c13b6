from __future__ import annotations

from runner.config.changed import changed_settings
from runner.config.compose import compose


def test_options_and_values_that_differ_from_the_default_config() -> None:
    overrides = [
        "model=logistic",
        "optimizer.lr=0.003",
        "regularization.ema=0.9",
        "run.name=x",
        "+data.drop_last=true",
    ]
    assert changed_settings(compose(overrides)) == {
        "model": ["mlp", "logistic"],
        "optimizer.lr": [0.001, 0.003],
        "regularization.ema": [None, 0.9],
        "data.drop_last": [None, True],
    }
    assert changed_settings(compose()) == {}
