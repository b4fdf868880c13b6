"""Focal losses, which reduce the weight of samples that are classified well (Lin et al. 2017)."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

__all__ = ["BinaryFocalLoss", "FocalLoss"]


class FocalLoss(nn.Module):
    """``−(1 − p)^γ log p`` of the true class, with softmax probabilities.

    Args:
        gamma: focusing parameter; 0 gives the cross-entropy.
        label_smoothing: share of the target spread over the other classes.
        reduction: reduction over the samples.
    """

    def __init__(
        self,
        gamma: Annotated[float, Ge(0)] = 2.0,
        label_smoothing: Annotated[float, Ge(0), Le(1)] = 0.0,
        reduction: Literal["mean", "none"] = "mean",
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits ``(N, C)`` and class ids ``(N,)`` or probabilities ``(N, C)``."""
        num_classes = logits.shape[-1]
        if targets.ndim == 1:
            targets = functional.one_hot(targets, num_classes).to(logits.dtype)
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / num_classes
        log_probs = logits.log_softmax(-1)
        losses = -(targets * (1 - log_probs.exp()) ** self.gamma * log_probs).sum(-1)
        return losses.mean() if self.reduction == "mean" else losses


class BinaryFocalLoss(nn.Module):
    """The focal loss of one logit, with sigmoid probabilities.

    Args:
        gamma: focusing parameter; 0 gives the binary cross-entropy.
        reduction: reduction over the samples.
    """

    def __init__(
        self, gamma: Annotated[float, Ge(0)] = 2.0, reduction: Literal["mean", "none"] = "mean"
    ) -> None:
        super().__init__()
        self.gamma = gamma
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss of logits and probabilities of the positive class, each ``(N,)``."""
        return sigmoid_focal_loss(logits, targets, alpha=-1, gamma=self.gamma, reduction=self.reduction)
