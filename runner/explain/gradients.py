"""Gradients of a trained model's predictions with respect to its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["in_use"]


@contextmanager
def in_use(model: nn.Module) -> Iterator[None]:
    """Context manager for gradients with respect to inputs: evaluation mode, no gradients of parameters.

    cuDNN is disabled, because its recurrent layers only support the backward pass in training mode.
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
