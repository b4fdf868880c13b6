"""Samplers and pruners of sweeps."""

from __future__ import annotations

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
    """
    Args:
        max_epochs: of a trial that is not pruned.
    """
    options = dict(PRUNER_DEFAULTS.get(settings.pruner, {}))
    if settings.pruner == "hyperband" and max_epochs:
        options["max_resource"] = max_epochs
    return PRUNERS[settings.pruner](**options | settings.pruner_options)


class SequentialQMCSampler(QMCSampler):
    """Optuna's, but each trial takes the point of the sequence that has its number.

    Optuna counts the points drawn so far: two processes may draw one and the same, and a sweep that was
        killed
    between drawing and telling leaves one out.
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
"""Of a grid all points are put in front, and nothing is left to draw."""

SINGLE_OBJECTIVE = ("cmaes",)

SAMPLER_DEFAULTS: dict[str, dict[str, Any]] = {
    "tpe": {"multivariate": True, "group": True, "constant_liar": True},
    "qmc": {"scramble": True, "warn_asynchronous_seeding": False, "warn_independent_sampling": False},
    "gp": {"warn_independent_sampling": False},
    "cmaes": {"warn_independent_sampling": False},
    "nsga2": {"population_size": 10},  # Optuna's 50 is the budget of a whole sweep here
}
"""Where a default of Optuna's is not what a search over trainings wants."""


def make_sampler(settings: Sweep, number: int) -> BaseSampler:
    """What chooses trial ``number``. A sampler of its own for each, so that a sweep that was stopped and
    started again draws what it would have drawn, and several processes draw apart.
    """
    options = SAMPLER_DEFAULTS.get(settings.sampler, {}) | settings.sampler_options
    if settings.sampler == "qmc":  # one sequence for the whole study
        return SequentialQMCSampler(number, seed=settings.seed, **options)
    seed = (settings.seed + 7919 * number) % 2**31
    return SAMPLERS[settings.sampler](seed=seed, **options)
