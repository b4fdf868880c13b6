"""Gradients of a trained model's answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["in_use"]


@contextmanager
def in_use(model: nn.Module) -> Iterator[None]:
    """Within it the model is in evaluation mode, its parameters need no gradients, and those of its inputs can be had.

    cuDNN's recurrent layers go backward in training mode alone: without cuDNN they are computed by plain kernels.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    was_training = model.training
    for parameter in wanted:
        parameter.requires_grad_(False)
    model.eval()
    try:
        enabled = torch.backends.cudnn.enabled and not recurrent
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=enabled):
            yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
        model.train(was_training)
