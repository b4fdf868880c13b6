"""Evaluation loss without label smoothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["without_smoothing"]


@contextmanager
def without_smoothing(loss: object) -> Iterator[None]:
    """Context manager that disables label smoothing in a loss and its submodules.

    Smoothing regularizes training, but would distort the loss as a measure of quality.
    """
    modules = loss.modules() if isinstance(loss, nn.Module) else ()
    smoothed = [
        (module, module.label_smoothing) for module in modules if getattr(module, "label_smoothing", 0)
    ]
    try:
        for module, _ in smoothed:
            setattr(module, "label_smoothing", 0.0)  # noqa: B010  # not declared on nn.Module
        yield
    finally:
        for module, share in smoothed:
            setattr(module, "label_smoothing", share)  # noqa: B010
