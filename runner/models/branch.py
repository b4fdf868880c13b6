"""Stochastic depth and spatial dropout for models of other libraries.

Both are forward hooks on existing modules, so that parameter names do not change and weights files fit with
and without them. They have no effect in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.ops import stochastic_depth

from runner.errors import UserError

__all__ = ["add_spatial_dropout", "add_stochastic_depth"]


class DropBranch:
    """Drops the output of a residual branch for random samples of a batch, and scales up the others."""

    def __init__(self, rate: float, block: nn.Module) -> None:
        self.rate = rate
        self.block = block  # its mode is used, because the branch's last norm may be kept in evaluation mode

    def __call__(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return stochastic_depth(output, self.rate, "row", self.block.training)


class DropChannels:
    """Drops random channels of each sample (Tompson et al. 2014)."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return functional.dropout2d(output, self.rate, module.training)


def add_stochastic_depth(model: nn.Module, rate: float) -> nn.Module:
    """Adds stochastic depth with a rate that rises linearly to ``rate`` (Huang et al. 2016).

    Args:
        model: a ResNet or MobileNetV2 of torchvision.
        rate: drop probability of the last residual branch.

    Raises:
        UserError: the model has no residual branches.
    """
    branches = [(block, end) for block in model.modules() if (end := branch_end(block)) is not None]
    if rate and not branches:
        raise UserError(
            f"stochastic_depth={rate:g}: {type(model).__name__} has no residual branches to drop."
        )
    for position, (block, end) in enumerate(branches, start=1):
        if rate:
            end.register_forward_hook(DropBranch(rate * position / len(branches), block))
    return model


def branch_end(block: nn.Module) -> nn.Module | None:
    """Returns the module whose output is added to the block's input."""
    if isinstance(block, BasicBlock):
        return block.bn2
    if isinstance(block, Bottleneck):
        return block.bn3
    return block.conv if isinstance(block, InvertedResidual) and block.use_res_connect else None


def add_spatial_dropout(modules: Iterable[nn.Module], rate: float) -> None:
    """Adds channel dropout to the outputs ``(N, C, H, W)`` of each module."""
    for module in modules:
        if rate:
            module.register_forward_hook(DropChannels(rate))
