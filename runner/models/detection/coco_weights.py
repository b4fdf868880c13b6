"""Loading of torchvision's COCO weights into detectors with other classes."""

from __future__ import annotations

import torch
import torchvision
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from runner.errors import UserError, WeightsError
from runner.models.weights import WeightsReport, fit_weights

__all__ = ["load_coco_weights"]


def load_coco_weights(model: nn.Module, name: str | None, needed: str) -> WeightsReport:
    """Downloads the weights of torchvision's detector ``name``, verifies their hash and loads them.

    The weights are loaded by torchvision's own model first, since tensor names have changed between versions.

    Args:
        model: the detector to load the weights into.
        name: name of the detector in torchvision; None if no weights are published for the model's settings.
        needed: settings for which weights are published, for the error message.

    Raises:
        UserError: ``name`` is None.
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    if name is None:
        raise UserError(
            f"pretrained=true: torchvision has weights for {needed} only. Use these settings, or "
            "model.pretrained_backbone=true, which loads ImageNet weights into the backbone only."
        )
    try:
        reference = torchvision.models.get_model(name, weights="DEFAULT", weights_backbone=None)
    except (OSError, RuntimeError) as error:  # RuntimeError: hash mismatch
        raise WeightsError(
            f"The weights of {name} cannot be downloaded ({error}). Check the connection, or specify a local file with "
            "weights=FILE and pretrained=false."
        ) from error
    return transplant(model, reference, name)


def transplant(model: nn.Module, reference: nn.Module, name: str) -> WeightsReport:
    """Copies all matching tensors, and the epsilon of batch norms, which weights do not contain."""
    state = reference.state_dict()
    for own, tensor in model.state_dict().items():
        if own.endswith("num_batches_tracked"):
            state.setdefault(own, torch.zeros_like(tensor))
    report = fit_weights(model, state, source=f"{name}, COCO")
    for module_name, module in reference.named_modules():
        if isinstance(module, FrozenBatchNorm2d | nn.BatchNorm2d):
            model.get_submodule(module_name).eps = module.eps
    return report
