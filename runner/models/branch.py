"""Dropping whole residual branches and whole channels, in models built by others.

Both hang on modules that are there already, as hooks: the names of the tensors stay what they are, and weights files
fit with and without. Out of training they do nothing.
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
    """Drops the output of a branch for some samples of a batch, and scales up the others."""

    def __init__(self, rate: float, block: nn.Module):
        self.rate = rate
        self.block = block  # its mode counts: the branch's last norm may be kept in evaluation mode

    def __call__(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return stochastic_depth(output, self.rate, "row", self.block.training)


class DropChannels:
    """Drops some channels of some samples (Tompson et al. 2014)."""

    def __init__(self, rate: float):
        self.rate = rate

    def __call__(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        return functional.dropout2d(output, self.rate, module.training)


def add_stochastic_depth(model: nn.Module, rate: float) -> nn.Module:
    """Huang et al., "Deep networks with stochastic depth" (2016): ``rate`` at the last block, less the earlier it is.

    Args:
        model: torchvision's residual nets, or MobileNetV2.

    Raises:
        UserError: there is no residual branch in it.
    """
    branches = [(block, end) for block in model.modules() if (end := branch_end(block)) is not None]
    if rate and not branches:
        raise UserError(f"stochastic_depth={rate:g}: {type(model).__name__} has no residual branches to drop.")
    for position, (block, end) in enumerate(branches, start=1):
        if rate:
            end.register_forward_hook(DropBranch(rate * position / len(branches), block))
    return model


def branch_end(block: nn.Module) -> nn.Module | None:
    """The module whose output is added to the block's input."""
    if isinstance(block, BasicBlock):
        return block.bn2
    if isinstance(block, Bottleneck):
        return block.bn3
    return block.conv if isinstance(block, InvertedResidual) and block.use_res_connect else None


def add_spatial_dropout(modules: Iterable[nn.Module], rate: float) -> None:
    """Behind each of the modules, whose outputs are ``(N, C, H, W)``."""
    for module in modules:
        if rate:
            module.register_forward_hook(DropChannels(rate))
