"""Samplers and pruners of sweeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from runner.config.schema import Sweep

__all__ = ["PRUNERS", "SAMPLERS", "SINGLE_OBJECTIVE", "make_pruner", "make_sampler"]

PRUNERS: dict[str, type[BasePruner]] = {
    "none": NopPruner,
    "median": MedianPruner,
    "asha": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
    "wilcoxon": WilcoxonPruner,
}

PRUNER_DEFAULTS: dict[str, dict[str, Any]] = {
    "median": {"n_startup_trials": 5, "n_warmup_steps": 1},
    "asha": {"min_resource": 1, "reduction_factor": 3},
    "hyperband": {"min_resource": 1, "reduction_factor": 3},
}


def make_pruner(settings: Sweep, max_epochs: int | None) -> BasePruner:
    """Return the configured pruner.

    Args:
        settings: the ``sweep`` node.
        max_epochs: number of epochs of a trial that is not pruned.
    """
    options = dict(PRUNER_DEFAULTS.get(settings.pruner, {}))
    if settings.pruner == "hyperband" and max_epochs:
        options["max_resource"] = max_epochs
    return PRUNERS[settings.pruner](**options | settings.pruner_options)


class SequentialQMCSampler(QMCSampler):
    """Optuna's quasi-Monte Carlo sampler, except that the trial's number selects the point of the sequence.

    Optuna 5.0 counts the points drawn so far. Two processes may then draw the same point, and a sweep that is
    killed after drawing a point skips it.
    """

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(**options)
        self._number = number

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._number


SAMPLERS: dict[str, type[BaseSampler]] = {
    "tpe": TPESampler,
    "random": RandomSampler,
    "grid": RandomSampler,
    "qmc": QMCSampler,
    "gp": GPSampler,
    "cmaes": CmaEsSampler,
    "nsga2": NSGAIISampler,
}
"""Sampler by name. All points of a grid are enqueued at the start, so that its sampler is never used."""

SINGLE_OBJECTIVE = ("cmaes",)

SAMPLER_DEFAULTS: dict[str, dict[str, Any]] = {
    "tpe": {"multivariate": True, "group": True, "constant_liar": True},
    "qmc": {"scramble": True, "warn_asynchronous_seeding": False, "warn_independent_sampling": False},
    "gp": {"warn_independent_sampling": False},
    "cmaes": {"warn_independent_sampling": False},
    "nsga2": {"population_size": 10},  # Optuna's 50 is the budget of a whole sweep here
}
"""Options whose defaults in Optuna are unsuitable for trials that are trainings."""


def make_sampler(settings: Sweep, number: int) -> BaseSampler:
    """Return the sampler of trial ``number``.

    Each trial has its own sampler, seeded by its number. A resumed sweep therefore draws the same points as
    an uninterrupted one, and several processes draw different points.

    Args:
        settings: the ``sweep`` node.
        number: the trial's number.
    """
    options = SAMPLER_DEFAULTS.get(settings.sampler, {}) | settings.sampler_options
    if settings.sampler == "qmc":  # one sequence for the whole study
        return SequentialQMCSampler(number, seed=settings.seed, **options)
    seed = (settings.seed + 7919 * number) % 2**31
    sampler: Callable[..., BaseSampler] = SAMPLERS[settings.sampler]
    return sampler(seed=seed, **options)
