"""Frozen batch normalization, whose statistics come from pretraining with larger batches."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["StillBatchNorm2d", "keep_norms_still"]


class StillBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that uses its running statistics also in training mode and has no trainable parameters.

    A detector's batch has too few images to estimate the statistics of features. Unlike torchvision's
    ``FrozenBatchNorm2d``, it has the same tensors as ``BatchNorm2d``, so weights fit both.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.batch_norm(
            inputs, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def keep_norms_still(module: nn.Module) -> None:
    """Replaces every batch norm in ``module`` by a frozen one with the same tensors."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            still = StillBatchNorm2d(child.num_features, child.eps)
            still.load_state_dict(child.state_dict())
            setattr(module, name, still.requires_grad_(False))
        else:
            keep_norms_still(child)
