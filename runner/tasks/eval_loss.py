"""The loss of held-out samples is the plain one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["without_smoothing"]


@contextmanager
def without_smoothing(loss: object) -> Iterator[None]:
    """Within it a loss, and the losses it is made of, spread no share of the target over the other classes: smoothing
    holds a training back, and says nothing of how well a model does."""
    modules = loss.modules() if isinstance(loss, nn.Module) else ()
    smoothed = [(module, module.label_smoothing) for module in modules if getattr(module, "label_smoothing", 0)]
    try:
        for module, _ in smoothed:
            module.label_smoothing = 0.0
        yield
    finally:
        for module, share in smoothed:
            module.label_smoothing = share
