"""The ``folds`` node of a config: its shorthand, and the settings that are incompatible with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from runner.config.checks.compatibility import constructor_of
from runner.config.composition import Composition
from runner.config.schema import Folds

__all__ = ["as_setting", "fold_problems", "of_all_folds", "spelt_out"]

CUTS = ("data.val_fraction", "data.val_size")
"""Settings of the single validation split that folds replace."""


def of_all_folds(config: Mapping[str, Any]) -> bool:
    """Whether a config requests a run for each fold instead of a single run."""
    node = config.get("folds")
    return isinstance(node, Mapping) and node.get("index") is None


def as_setting(override: Override) -> Override:
    """Rewrites ``folds=5`` as ``folds.num_folds=5``; returns other overrides unchanged."""
    if override.key_or_group != "folds" or override.is_delete() or not is_single(override.value()):
        return override
    sign = "+" if override.is_add() else ""
    return OverridesParser.create().parse_override(f"{sign}folds.num_folds={override.value()}")


def spelt_out(config: DictConfig) -> None:
    """Rewrites ``folds: 5`` from a file as ``folds: {num_folds: 5}``."""
    if is_single(config.get("folds")):
        config.folds = {"num_folds": config.folds}


def is_single(value: Any) -> bool:
    return isinstance(value, int | float | str)


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def fold_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """Return the problems of the ``folds`` node, and of settings that are incompatible with it or have no
    effect.
    """
    node = plain.get("folds")
    if not isinstance(node, dict):
        return []
    problems = [*setting_problems(node), *data_problems(plain)]
    problems += [
        f"{key} would have no effect: folds.num_folds sets the size of the validation split. Remove it."
        for key in CUTS
        if key in composition.explicit and not composition.resolved
    ]
    return problems + (all_problems(plain) if node.get("index") is None else [])


def setting_problems(node: dict[str, Any]) -> list[str]:
    problems = []
    index, count = node.get("index"), node.get("num_folds", Folds.num_folds)
    if is_number(index) and is_number(count) and index >= count:
        problems.append(
            f"folds.index={index}: expected less than folds.num_folds={count}; they are counted from 0."
        )
    if node.get("group_column") and node.get("group_pattern"):
        problems.append("folds.group_column and folds.group_pattern both define groups. Give one of them.")
    try:
        re.compile(node.get("group_pattern") or "")
    except (re.error, TypeError) as error:
        problems.append(
            f"folds.group_pattern={node['group_pattern']!r} is not a regular expression: {error}."
        )
    return problems


def data_problems(plain: dict[str, Any]) -> list[str]:
    """Checks that the data can be split into folds, and stratified if requested."""
    data, task = constructor_of(plain.get("data")), constructor_of(plain.get("task"))
    reason = getattr(data, "no_folds", None)
    if reason:
        return [f"folds: the data cannot be split into folds: {reason}. Remove folds."]
    for key in getattr(data, "no_folds_with", ()):
        if plain["data"].get(key):
            return [f"folds do not work with data.{key} yet. Leave out folds, or data.{key}."]
    if plain["folds"].get("stratified") and task is not None and not getattr(task, "mixes", False):
        return [
            f"folds.stratified=true: {task.__name__} does not have one class per sample, so there are no "
            "proportions to keep. "
            "Remove it."
        ]
    return []


def all_problems(plain: dict[str, Any]) -> list[str]:
    """Checks settings that are incompatible with training all folds."""
    problems = []
    if plain.get("resume"):
        problems.append(
            "resume=auto would have no effect: the same command with folds resumes by itself. Remove it."
        )
    debug, launcher, hardware = (plain.get(key) or {} for key in ("debug", "launcher", "hardware"))
    if debug.get("kind") in ("overfit", "find_lr"):
        problems.append(
            f"folds with debug.kind={debug['kind']}: it needs no validation. Remove folds or debug."
        )
    if launcher.get("kind") == "slurm" and launcher.get("follow") is False:
        problems.append(
            "launcher.follow=false: folds are trained one after another, which requires waiting for each. "
            "Remove it."
        )
    nodes = hardware.get("num_nodes", 1)
    if nodes != 1 and launcher.get("kind") in ("local", "elastic"):
        problems.append(
            f"hardware.num_nodes={nodes}: folds are trained on one machine, or with launcher=slurm or "
            "launcher=ray."
        )
    return problems
