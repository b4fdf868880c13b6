"""The ``sweep`` node of a config, and the checks of its settings."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.config.checks.arguments import check_value
from runner.config.checks.folds import of_all_folds
from runner.config.checks.values import type_problems
from runner.config.introspect import annotations_of, members
from runner.config.plain import to_plain
from runner.config.schema import Folds, Sweep
from runner.errors import Problem
from runner.suggest import did_you_mean
from runner.sweep.sampler import PRUNERS, SAMPLERS, SINGLE_OBJECTIVE

__all__ = ["read_settings"]


def read_settings(config: DictConfig, problems: list[Problem]) -> Sweep:
    """Remove the ``sweep`` node from a config and return it.

    Args:
        config: the composed config.
        problems: receives a problem for each invalid setting.
    """
    node, folds = config.pop("sweep", None), config.get("folds")
    plain = to_plain(OmegaConf.create({"sweep": node or {}}), problems)["sweep"]
    found = check_value(Sweep, plain, "sweep", [f"sweep.{key}" for key in plain])
    settings = Sweep() if found else Sweep(**plain)
    if of_all_folds(config):
        problems += fold_problems(settings)
        count = folds.get("num_folds", Folds.num_folds)
        settings.repeats = count if isinstance(count, int) else 1
    problems += found or [
        *objective_problems(settings),
        *repeat_problems(settings),
        *option_problems(settings),
    ]
    return settings


def fold_problems(settings: Sweep) -> list[Problem]:
    """Report ``sweep.repeats`` in addition to folds, each of which is a repeat already."""
    if settings.repeats == 1:
        return []
    text = f"sweep.repeats={settings.repeats} and folds are two reasons to train a trial several times."
    return [Problem("sweep.repeats", text, "incompatible", "Give one of them.")]


def objective_problems(settings: Sweep) -> list[Problem]:
    found = []
    if settings.objective and not settings.mode:
        text = f"sweep.objective={settings.objective}: say with sweep.mode=min or max which is better."
        found.append(Problem("sweep.mode", text, "missing"))
    if settings.mode and not settings.objective:
        text = f"sweep.mode={settings.mode} is for sweep.objective, which is not given."
        found.append(Problem("sweep.mode", text, "no_effect"))
    if not settings.objectives:
        return found
    if settings.objective:
        text = "sweep.objective and sweep.objectives are given: take one of them."
        found.append(Problem("sweep.objective", text, "incompatible"))
    if len(settings.objectives) == 1:
        ((name, mode),) = settings.objectives.items()
        text = f"sweep.objectives has a single one: write sweep.objective={name} sweep.mode={mode}."
        found.append(Problem("sweep.objectives", text, "out_of_bounds"))
        return found
    if settings.sampler in SINGLE_OBJECTIVE:
        text = f"sweep.sampler={settings.sampler} searches by one objective; nsga2 or tpe take several."
        found.append(Problem("sweep.sampler", text, "incompatible"))
    if settings.pruner != "none":
        text = (
            f"sweep.pruner={settings.pruner}: with several objectives, trials cannot be ranked for pruning."
        )
        remedy = "Use sweep.pruner=none, or one objective."
        found.append(Problem("sweep.pruner", text, "incompatible", remedy))
    return found


def repeat_problems(settings: Sweep) -> list[Problem]:
    if settings.pruner == "wilcoxon" and settings.repeats == 1:
        text = (
            "sweep.pruner=wilcoxon compares trials seed by seed, and sweep.repeats=1: say with "
            "sweep.repeats=5 how many seeds each trial is trained with, or with folds=5 how many folds."
        )
        return [Problem("sweep.repeats", text, "missing")]
    if settings.pruner not in ("none", "wilcoxon") and settings.repeats > 1:
        text = (
            f"sweep.pruner={settings.pruner} compares trials epoch by epoch, but each has {settings.repeats} "
            "trainings (sweep.repeats, or folds): take wilcoxon."
        )
        return [Problem("sweep.pruner", text, "incompatible")]
    return []


def option_problems(settings: Sweep) -> list[Problem]:
    found = []
    if settings.sampler != "grid":
        found += options_of(SAMPLERS[settings.sampler], settings.sampler_options, "sweep.sampler_options")
    found += options_of(PRUNERS[settings.pruner], settings.pruner_options, "sweep.pruner_options")
    if settings.sampler == "grid" and settings.sampler_options:
        found.append(
            Problem("sweep.sampler_options", "sweep.sampler_options: a grid takes none.", "no_effect")
        )
    if settings.devices_per_trial and settings.devices_per_trial > 1 and settings.devices_per_trial % 1:
        text = (
            f"sweep.devices_per_trial={settings.devices_per_trial:g}: expected a whole number, or 0.5, 0.25 "
            "… for trials that share a device."
        )
        found.append(Problem("sweep.devices_per_trial", text, "out_of_bounds"))
    return found


def options_of(maker: Callable[..., Any], options: dict[str, Any], place: str) -> list[Problem]:
    """Check options against the arguments of Optuna's class.

    Only numbers and strings are supported, no objects. The seed is set by the sweep.
    """
    annotations = annotations_of(maker)
    known = {
        name: annotations.get(name, Any)
        for name in inspect.signature(maker).parameters
        if name != "seed"
        and not name.startswith("warn_")
        and any(kind in (int, float, bool, str) for kind in members(annotations.get(name, Any)))
    }
    found = []
    for name, value in options.items():
        if name not in known:
            text = f"{place}.{name}: {maker.__name__} takes no {name!r}."
            hint = did_you_mean(str(name), known)
            found.append(Problem(f"{place}.{name}", text, "unknown_key", hint))
            continue
        found += type_problems(known[name], value, f"{place}.{name}")
    return found or refused(maker, options, place)


def refused(maker: Callable[..., Any], options: dict[str, Any], place: str) -> list[Problem]:
    """Return the error that the class raises for values of the right type."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            maker(**options)
    except (ValueError, TypeError) as error:
        return [Problem(place, f"{place}: {' '.join(str(error).split())}", "rejected")]
    return []
