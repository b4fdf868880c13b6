"""The ``folds`` node of a config: how it may be spelt, and what does not go together with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from runner.config.compatibility import constructor_of
from runner.config.composition import Composition
from runner.config.schema import Folds

__all__ = ["as_setting", "fold_problems", "of_all_folds", "spelt_out"]

CUTS = ("data.val_fraction", "data.val_size")
"""Settings of the single cut that folds take the place of."""


def of_all_folds(config: Mapping[str, Any]) -> bool:
    """Whether a config asks for a run of each fold, and not for one run."""
    node = config.get("folds")
    return isinstance(node, Mapping) and node.get("index") is None


def as_setting(override: Override) -> Override:
    """``folds=5`` as ``folds.num_folds=5``; any other override as it is."""
    if override.key_or_group != "folds" or override.is_delete() or not is_single(override.value()):
        return override
    sign = "+" if override.is_add() else ""
    return OverridesParser.create().parse_override(f"{sign}folds.num_folds={override.value()}")


def spelt_out(config: DictConfig) -> None:
    """``folds: 5`` of a file likewise."""
    if is_single(config.get("folds")):
        config.folds = {"num_folds": config.folds}


def is_single(value: Any) -> bool:
    return isinstance(value, int | float | str)


def is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def fold_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """What the settings of folds exclude, and what would be without effect beside them."""
    node = plain.get("folds")
    if not isinstance(node, dict):
        return []
    problems = [*setting_problems(node), *data_problems(plain)]
    problems += [
        f"{key} would have no effect: folds.num_folds says how much is validated on. Take it away."
        for key in CUTS
        if key in composition.explicit and not composition.resolved
    ]
    return problems + (all_problems(plain) if node.get("index") is None else [])


def setting_problems(node: dict[str, Any]) -> list[str]:
    problems = []
    index, count = node.get("index"), node.get("num_folds", Folds.num_folds)
    if is_number(index) and is_number(count) and index >= count:
        problems.append(f"folds.index={index}: expected less than folds.num_folds={count}; they are counted from 0.")
    if node.get("group_column") and node.get("group_pattern"):
        problems.append("folds.group_column and folds.group_pattern are two ways to tell groups. Give one of them.")
    try:
        re.compile(node.get("group_pattern") or "")
    except (re.error, TypeError) as error:
        problems.append(f"folds.group_pattern={node['group_pattern']!r} is no regular expression: {error}.")
    return problems


def data_problems(plain: dict[str, Any]) -> list[str]:
    """Data that cannot be cut into folds, or not so."""
    data, task = constructor_of(plain.get("data")), constructor_of(plain.get("task"))
    reason = getattr(data, "no_folds", None)
    if reason:
        return [f"folds: the data cannot be cut into folds: {reason}. Take folds away."]
    if plain["folds"].get("stratified") and task is not None and not getattr(task, "mixes", False):
        return [
            f"folds.stratified=true: {task.__name__} has no one class a sample, whose proportions could be kept. Take it "
            "away."
        ]
    return []


def all_problems(plain: dict[str, Any]) -> list[str]:
    """What a run of each fold has no use for."""
    problems = []
    if plain.get("resume"):
        problems.append("resume=auto would have no effect: the same command with folds goes on by itself. Take it away.")
    debug, launcher, hardware = (plain.get(key) or {} for key in ("debug", "launcher", "hardware"))
    if debug.get("kind") in ("overfit", "find_lr"):
        problems.append(f"folds with debug.kind={debug['kind']}: it needs no validation. Take folds away, or debug.")
    if launcher.get("kind") == "slurm" and launcher.get("follow") is False:
        problems.append("launcher.follow=false: one fold is trained after the other, which takes waiting for each. Take it away.")
    nodes = hardware.get("num_nodes", 1)
    if nodes != 1 and launcher.get("kind") in ("local", "elastic"):
        problems.append(
            f"hardware.num_nodes={nodes}: folds are trained by one machine, or with launcher=slurm or launcher=ray."
        )
    return problems
