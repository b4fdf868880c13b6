"""Overrides of an evaluation that would change how a run's data are split."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.errors import UserError

__all__ = ["reject_new_cut"]

CUTS = (
    "split_seed", "val_fraction", "test_fraction", "val_size", "test_pattern", "rows",
    "num_samples", "num_images", "num_steps", "num_train", "num_val", "num_test",
)  # fmt: skip
"""Of the data: they decide which samples are in which split."""
PLACES = (
    "root",
    "path",
    "test_path",
    "data_dir",
    "config",
    "train",
    "val",
    "test",
    "images",
    "data_seed",
    "scene_seed",
)
"""Of the data: with another value they are other data."""


def reject_new_cut(run_name: str, config: DictConfig, overrides: Mapping[str, Any], data: type) -> None:
    """A new cut of the same data would put samples that a run was trained on among those it is evaluated on.

    Args:
        config: the run's own.
        overrides: dotted keys of it and the values they are to have.
        data: the class of its data module, which knows the values of keys that the config does not name.

    Raises:
        UserError: the overrides ask for one.
    """
    parameters = inspect.signature(data).parameters

    def differs(key: str) -> bool:
        default = (
            parameters[key.removeprefix("data.")].default if key.removeprefix("data.") in parameters else None
        )
        return OmegaConf.select(config, key, default=default) != overrides[key]

    changed = [key for key in overrides if differs(key)]
    cuts = [key for key in changed if key.split(".")[0] == "folds" or key in names_of(CUTS)]
    if cuts and not any(key in names_of(PLACES) for key in changed):
        given = ", ".join(f"{key}={overrides[key]}" for key in cuts)
        raise UserError(
            f"{given} would change the splits of {run_name}, and it would be evaluated on samples it was "
            "trained on. Remove it, or give another data set by its path, as with data.root=… or data.path=…"
        )


def names_of(names: tuple[str, ...]) -> set[str]:
    return {f"data.{name}" for name in names}
