"""torchvision's detectors trained on COCO, put into ones with other classes."""

from __future__ import annotations

import torch
import torchvision
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from runner.errors import UserError, WeightsError
from runner.models.weights import WeightsReport, fit_weights

__all__ = ["load_coco_weights"]


def load_coco_weights(model: nn.Module, name: str | None, needed: str) -> WeightsReport:
    """Download (once, with its hash checked) the weights of torchvision's detector ``name``, and load them.

    The names of tensors have changed between versions: torchvision itself puts them into its own model first.

    Args:
        name: None where nothing was published for the model as it is.
        needed: the settings that there are weights for.

    Raises:
        UserError: there are none.
        WeightsError: they cannot be downloaded, or do not fit.
    """
    if name is None:
        raise UserError(
            f"pretrained=true: torchvision has weights for {needed} only. Take these settings, or "
            "model.pretrained_backbone=true, which starts the backbone alone from ImageNet."
        )
    try:
        reference = torchvision.models.get_model(name, weights="DEFAULT", weights_backbone=None)
    except (OSError, RuntimeError) as error:  # RuntimeError: the hash differs
        raise WeightsError(
            f"The weights of {name} cannot be downloaded ({error}). Check the connection, or give a local file with "
            "weights=FILE and pretrained=false."
        ) from error
    return transplant(model, reference, name)


def transplant(model: nn.Module, reference: nn.Module, name: str) -> WeightsReport:
    """All that fits, and what the still batch norms need to give the same."""
    state = reference.state_dict()
    for own, tensor in model.state_dict().items():
        if own.endswith("num_batches_tracked"):
            state.setdefault(own, torch.zeros_like(tensor))
    report = fit_weights(model, state, source=f"{name}, COCO")
    for place, module in reference.named_modules():
        if isinstance(module, FrozenBatchNorm2d | nn.BatchNorm2d):
            model.get_submodule(place).eps = module.eps
    return report
