"""Applies the hardware settings to a model before training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from runner.distributed.activation_checkpointing import checkpoint_activations
from runner.distributed.sync_batch_norm import share_batch_norms

__all__ = ["prepare_model"]


def prepare_model(
    model: nn.Module, hardware: dict[str, Any], accelerator: str, channels_last: bool, num_devices: int
) -> nn.Module:
    """The prepared model, with the same weights under the same names.

    Args:
        hardware: the config node.

    Raises:
        ConfigError: a setting would have no effect on this model.
    """
    if hardware.get("sync_batchnorm") and num_devices > 1:
        model = share_batch_norms(model, accelerator)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    checkpointing = hardware.get("activation_checkpointing")
    if checkpointing:
        checkpoint_activations(model, None if checkpointing is True else checkpointing)
    return model
