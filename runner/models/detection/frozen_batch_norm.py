"""Batch norms that stand still: their statistics come from a training with larger batches."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["StillBatchNorm2d", "keep_norms_still"]


class StillBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by its running statistics, in training too; nothing in it is trained.

    The few images of a detector's batch say too little about the statistics of features. Unlike torchvision's
    frozen one it has the tensors of a plain batch norm, so that weights fit both.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.batch_norm(
            inputs, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def keep_norms_still(module: nn.Module) -> None:
    """Replaces every batch norm below ``module`` by one that stands still, with the same tensors."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            still = StillBatchNorm2d(child.num_features, child.eps)
            still.load_state_dict(child.state_dict())
            setattr(module, name, still.requires_grad_(False))
        else:
            keep_norms_still(child)
