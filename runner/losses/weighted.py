"""A weighted sum of losses."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from runner.errors import UserError

__all__ = ["WeightedSum"]


class WeightedSum(nn.Module):
    """``Σ weightᵢ · lossᵢ(logits, targets)``.

    Args:
        losses: modules called with logits and targets, given as nodes with ``_target_``.
        weights: one per loss; None for equal weights of 1.
    """

    def __init__(self, losses: list, weights: list[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(losses) if weights is None else list(weights)
        if not losses or len(weights) != len(losses):
            raise UserError(
                f"task.loss: {len(losses)} losses but {len(weights)} weights; expected at least one loss, "
                "and one weight for each."
            )
        if wrong := [loss for loss in losses if not isinstance(loss, nn.Module)]:
            raise UserError(
                f"task.loss.losses: {wrong[0]!r} is not a loss. Give each as a node with _target_."
            )
        self.losses = nn.ModuleList(losses)
        self.weights: Sequence[float] = weights

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss, a scalar."""
        return sum(
            weight * loss(logits, targets) for weight, loss in zip(self.weights, self.losses, strict=True)
        )
