"""A zero whose backward pass fires the gradient hooks of all parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["ZeroGradient"]


class ZeroGradient(torch.autograd.Function):
    """Returns zero and propagates a gradient of negative zero to every parameter.

    Adding negative zero leaves gradients bit-identical, while the gradient hooks that DDP waits for still
    fire.
    """

    @staticmethod
    def forward(ctx: Any, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        return parameters[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(parameter.new_full((), -0.0).expand_as(parameter) for parameter in ctx.saved_tensors)
