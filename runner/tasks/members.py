"""Losses of models that return the outputs of several members in training; see ``runner.models.tabm``."""

from __future__ import annotations

from torch import Tensor

__all__ = ["average_members", "repeat_for_members"]


def repeat_for_members(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a row per sample and member.

    Args:
        outputs: ``(N, M, C)`` of M members; ``(N, C)`` is returned unchanged.
        targets: targets of the samples, ``(N,)`` or ``(N, K)``.

    Returns:
        Outputs ``(N · M, C)`` and targets ``(N · M,)`` or ``(N · M, K)``.
    """
    if outputs.ndim != 3:
        return outputs, targets
    return outputs.flatten(0, 1), targets.repeat_interleave(outputs.shape[1], 0)


def average_members(outputs: Tensor) -> Tensor:
    """Returns the mean over the members: ``(N, M, C)`` → ``(N, C)``; ``(N, C)`` is returned unchanged."""
    return outputs.mean(1) if outputs.ndim == 3 else outputs
