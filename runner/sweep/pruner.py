"""What ends trials that lag behind."""

from __future__ import annotations

from typing import Any

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)

from runner.config.schema import Sweep

__all__ = ["PRUNERS", "make_pruner"]

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
