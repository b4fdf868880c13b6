"""All checks of a whole config, in the order in which their problems are printed."""

from __future__ import annotations

from collections.abc import Callable

from runner.config.checks import (
    compatibility,
    constructors,
    environment,
    folds,
    groups,
    hardware,
    no_effect,
    trainer,
)
from runner.config.checks.context import CheckContext
from runner.config.monitor import monitor_problems
from runner.errors import Problem

__all__ = ["CHECKS", "Check"]

Check = Callable[[CheckContext], list[Problem]]
"""Returns the problems that it finds. It is called after every node was checked against its constructor."""

CHECKS: tuple[Check, ...] = (
    trainer.trainer_problems,
    compatibility.compatibility_problems,
    compatibility.lr_range_problems,
    monitor_problems,
    no_effect.regularization_problems,
    no_effect.mixing_problems,
    no_effect.rivalry_problems,
    no_effect.noise_problems,
    no_effect.closure_problems,
    no_effect.sampling_problems,
    no_effect.initial_weights_problems,
    no_effect.tracking_problems,
    folds.fold_problems,
    groups.group_problems,
    hardware.device_number_problems,
    hardware.sharding_problems,
    hardware.micro_batch_problems,
    hardware.lr_scaling_problems,
    hardware.benchmark_problems,
    environment.launcher_problems,
    environment.device_problems,
    environment.batch_division_problems,
    environment.weights_problems,
    environment.run_problems,
    environment.tracking_store_problems,
    constructors.constructor_problems,
)
