"""Scaling of the learning rate with the batch size.

Goyal et al., "Accurate, large minibatch SGD" (2017), https://arxiv.org/abs/1706.02677 (linear);
Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014) and, for Adam, Malladi et
al., "On the SDEs and scaling rules for adaptive gradient algorithms" (2022) (square root)
"""

from __future__ import annotations

import math
from typing import Any

__all__ = ["lr_factor", "scaled"]


def lr_factor(hardware: dict[str, Any], batch_size: int) -> float:
    """Return the factor for ``optimizer.lr``.

    Args:
        hardware: the config node ``hardware``.
        batch_size: batch size over all devices.
    """
    rule, reference = hardware.get("lr_scaling") or "none", hardware.get("reference_batch_size")
    if rule == "none" or not reference:
        return 1.0
    ratio = batch_size / reference
    return ratio if rule == "linear" else math.sqrt(ratio)


def scaled(config: dict[str, Any], batch_size: int) -> dict[str, Any]:
    """Return a copy of the config with the learning rate scaled for the batch size."""
    factor = lr_factor(config["hardware"], batch_size)
    if factor == 1.0:
        return config
    return {**config, "optimizer": {**config["optimizer"], "lr": config["optimizer"]["lr"] * factor}}
