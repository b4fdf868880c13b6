"""Applies the hardware settings to a model before training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from runner.distributed.activation_checkpointing import checkpoint_activations
from runner.distributed.sync_batch_norm import sync_batch_norms

__all__ = ["prepare_model"]


def prepare_model(
    model: nn.Module, hardware: dict[str, Any], accelerator: str, channels_last: bool, num_devices: int
) -> nn.Module:
    """Return the prepared model, with the same weights under the same names.

    Args:
        model: the model.
        hardware: the config node ``hardware``.
        accelerator: ``cpu``, ``gpu`` or ``mps``.
        channels_last: whether to use the channels-last memory format.
        num_devices: number of devices.

    Raises:
        ConfigError: a setting would have no effect on this model.
    """
    if hardware.get("sync_batchnorm") and num_devices > 1:
        model = sync_batch_norms(model, accelerator)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    checkpointing = hardware.get("activation_checkpointing")
    if checkpointing:
        checkpoint_activations(model, None if checkpointing is True else checkpointing)
    return model
