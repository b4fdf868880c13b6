"""The learning rate of a run: the configured or suggested one, the batch size and the rollbacks.

Goyal et al., "Accurate, large minibatch SGD" (2017), https://arxiv.org/abs/1706.02677 (linear scaling);
Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014) and, for Adam, Malladi et
al., "On the SDEs and scaling rules for adaptive gradient algorithms" (2022) (square root)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from runner.run.directory import RunDir
from runner.run.journal import read_rollbacks

__all__ = ["LearningRate", "lr_factor", "rollback_factor"]


@dataclass(frozen=True)
class LearningRate:
    """Everything that determines the learning rate at which an optimizer starts.

    Attributes:
        base: ``optimizer.lr`` of the config, or the rate that a range test suggested in its place; None for
            an optimizer without the setting.
        batch_factor: factor for the batch size over all devices, see `lr_factor`. The optimizer is built with
            it.
        rollback_factor: product of the factors of all rollbacks. ``OptimizerSettings`` applies it at the
            start of training, also to the schedule restored from a checkpoint.
    """

    base: Any
    batch_factor: float = 1.0
    rollback_factor: float = 1.0

    @classmethod
    def of(
        cls,
        config: dict[str, Any],
        batch_size: int,
        run: RunDir | None = None,
        suggested: float | None = None,
    ) -> LearningRate:
        """Decide the learning rate.

        Args:
            config: the resolved config.
            batch_size: batch size over all devices.
            run: the run whose rollbacks count; none count for None.
            suggested: the result of a range test, which replaces ``optimizer.lr``.
        """
        base = config["optimizer"].get("lr") if suggested is None else suggested
        factor = lr_factor(config["hardware"], batch_size)
        return cls(base, factor, 1.0 if run is None else rollback_factor(run))

    def recorded_in(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of the config with the rate before scaling, as the run's config file holds it."""
        return config | {"optimizer": config["optimizer"] | {"lr": self.base}}

    def applied_to(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the config with the rate that the optimizer is built with."""
        if self.batch_factor == 1.0:
            return config
        return config | {"optimizer": config["optimizer"] | {"lr": self.base * self.batch_factor}}


def lr_factor(hardware: dict[str, Any], batch_size: int) -> float:
    """Return the factor of the learning rate for the batch size.

    Args:
        hardware: the config node ``hardware``.
        batch_size: batch size over all devices.
    """
    rule, reference = hardware.get("lr_scaling") or "none", hardware.get("reference_batch_size")
    if rule == "none" or not reference:
        return 1.0
    ratio = batch_size / reference
    return ratio if rule == "linear" else math.sqrt(ratio)


def rollback_factor(run: RunDir) -> float:
    """Return the product of the learning-rate factors of all rollbacks, 1 without any."""
    return math.prod(float(entry["lr_factor"]) for entry in read_rollbacks(run))
