"""The ``folds`` node of a config: its shorthand, and the settings that are incompatible with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from runner.config.allow_list import constructor_of
from runner.config.checks.context import CheckContext
from runner.config.schema import Folds
from runner.errors import Problem

__all__ = ["expand_override", "expand_shorthand", "fold_problems", "of_all_folds"]

REPLACED = ("data.val_fraction", "data.val_size")
"""Settings of the single validation split that folds replace."""


def of_all_folds(config: Mapping[Any, Any]) -> bool:
    """Return whether a config requests a run for each fold instead of a single run."""
    node = config.get("folds")
    return isinstance(node, Mapping) and node.get("index") is None


def expand_override(override: Override) -> Override:
    """Rewrites ``folds=5`` as ``folds.num_folds=5``; returns other overrides unchanged."""
    if override.key_or_group != "folds" or override.is_delete() or not is_single(override.value()):
        return override
    sign = "+" if override.is_add() else ""
    return OverridesParser.create().parse_override(f"{sign}folds.num_folds={override.value()}")


def expand_shorthand(config: DictConfig) -> None:
    """Rewrites ``folds: 5`` from a file as ``folds: {num_folds: 5}``."""
    if is_single(config.get("folds")):
        config.folds = {"num_folds": config.folds}


def is_single(value: Any) -> bool:
    return isinstance(value, int | float | str)


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def fold_problems(context: CheckContext) -> list[Problem]:
    """Checks the ``folds`` node, and for settings that are incompatible with it or have no effect."""
    if not isinstance(context.plain.get("folds"), dict):
        return []
    folds = context.node("folds")
    problems = [*setting_problems(folds), *splitting_problems(context)]
    problems += [
        Problem(
            key,
            f"{key} would have no effect: folds.num_folds sets the size of the validation split.",
            "no_effect",
            "Remove it.",
        )
        for key in REPLACED
        if key in context.composition.explicit and not context.composition.resolved
    ]
    return problems + (all_folds_problems(context) if folds.get("index") is None else [])


def setting_problems(folds: dict[str, Any]) -> list[Problem]:
    """Checks the values of the node against each other."""
    problems = []
    index, count = folds.get("index"), folds.get("num_folds", Folds.num_folds)
    if is_integer(index) and is_integer(count) and index >= count:
        text = f"folds.index={index}: expected less than folds.num_folds={count}; they are counted from 0."
        problems.append(Problem("folds.index", text, "out_of_bounds"))
    if folds.get("group_column") and folds.get("group_pattern"):
        text = "folds.group_column and folds.group_pattern both define groups."
        problems.append(Problem("folds.group_pattern", text, "incompatible", "Give one of them."))
    try:
        re.compile(folds.get("group_pattern") or "")
    except (re.error, TypeError) as error:
        text = f"folds.group_pattern={folds['group_pattern']!r} is not a regular expression: {error}."
        problems.append(Problem("folds.group_pattern", text, "invalid_value"))
    return problems


def splitting_problems(context: CheckContext) -> list[Problem]:
    """Checks that the data can be split into folds, and stratified if requested."""
    data, task = constructor_of(context.plain.get("data")), constructor_of(context.plain.get("task"))
    reason = getattr(data, "no_folds", None)
    if reason:
        text = f"folds: the data cannot be split into folds: {reason}."
        return [Problem("folds", text, "incompatible", "Remove folds.")]
    for name in getattr(data, "no_folds_with", ()):
        if context.node("data").get(name):
            text = f"folds do not work with data.{name} yet."
            return [Problem(f"data.{name}", text, "incompatible", f"Leave out folds, or data.{name}.")]
    stratified = context.node("folds").get("stratified")
    if stratified and task is not None and not getattr(task, "mixes", False):
        text = (
            f"folds.stratified=true: {task.__name__} does not have one class per sample, so proportions of "
            "classes cannot be kept."
        )
        return [Problem("folds.stratified", text, "incompatible", "Remove it.")]
    return []


def all_folds_problems(context: CheckContext) -> list[Problem]:
    """Checks settings that are incompatible with training all folds."""
    problems = []
    if context.plain.get("resume"):
        text = "resume=auto would have no effect: the same command with folds resumes by itself."
        problems.append(Problem("resume", text, "no_effect", "Remove it."))
    debug, launcher, hardware = (context.node(name) for name in ("debug", "launcher", "hardware"))
    if debug.get("kind") in ("overfit", "find_lr"):
        text = f"folds with debug.kind={debug['kind']}: it needs no validation."
        problems.append(Problem("debug.kind", text, "incompatible", "Remove folds or debug."))
    if launcher.get("kind") == "slurm" and launcher.get("follow") is False:
        text = "launcher.follow=false: folds are trained one after another, which requires waiting for each."
        problems.append(Problem("launcher.follow", text, "incompatible", "Remove it."))
    nodes = hardware.get("num_nodes", 1)
    if nodes != 1 and launcher.get("kind") in ("local", "elastic"):
        text = (
            f"hardware.num_nodes={nodes}: folds are trained on one machine, or with launcher=slurm or "
            "launcher=ray."
        )
        problems.append(Problem("hardware.num_nodes", text, "incompatible"))
    return problems
