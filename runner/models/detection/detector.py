"""The interface of detectors, their COCO weights, and box computations in float32."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d

from runner.errors import UserError, WeightsError
from runner.models.weights import WeightsReport, fit_weights

__all__ = ["Detector", "ExactAnchors", "ExactDefaultBoxes", "in_float32", "load_coco_weights"]


class Detector:
    """Mixin for torchvision's detectors, to be listed before them in the bases of a class.

    A detector is called with a list of images, float32 ``(3, H, W)`` from 0 to 1, and in training mode also
    with a list of targets ``{"boxes": (n, 4) xyxy in pixels, "labels": (n,)}``. Labels start at 0 for all
    architectures, with or without a background class. It returns a dict of losses in training mode, otherwise
    for each image ``{"boxes": (m, 4), "labels": (m,), "scores": (m,)}`` in pixels of the image, sorted by
    descending score.

    Attributes:
        first_label: internal label of the first class: 1 if 0 is the background.
        hardware_hint: the fastest settings measured on a CPU: ``precision``, ``channels_last``.
    """

    first_label = 0
    hardware_hint: dict[str, Any] = {}

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        if targets is not None:
            targets = [{"boxes": t["boxes"], "labels": t["labels"] + self.first_label} for t in targets]
        outputs = super().forward(images, targets)
        if self.training:
            return outputs
        return [output | {"labels": output["labels"] - self.first_label} for output in outputs]

    def get_classifier(self) -> list[nn.Module]:
        """Returns all modules except the backbone's body, under the name that timm uses for heads."""
        parts = [part for name, part in self.named_children() if name != "backbone"]
        neck = [part for name, part in self.backbone.named_children() if name not in ("body", "features")]
        return [part for part in (*neck, *parts) if any(True for _ in part.parameters())]


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
            f"The weights of {name} cannot be downloaded ({error}). Check the connection, or specify a "
            "local file with "
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


def stand_ins(features: list[Tensor]) -> list[Tensor]:
    """Returns float32 tensors of the features' shapes without allocating memory: anchors only need shape,
    device and dtype.
    """
    return [torch.empty((), dtype=torch.float32, device=part.device).expand(part.shape) for part in features]


class ExactAnchors(AnchorGenerator):
    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        return super().forward(image_list, stand_ins(feature_maps))


class ExactDefaultBoxes(DefaultBoxGenerator):
    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        return super().forward(image_list, stand_ins(feature_maps))


def in_float32(head: nn.Module) -> nn.Module:
    """Casts the outputs of a head to float32; its computations keep the ambient precision."""
    head.register_forward_hook(cast_outputs)
    return head


def cast_outputs(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    return as_float32(outputs)


def as_float32(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {key: as_float32(value) for key, value in outputs.items()}
    return type(outputs)(as_float32(value) for value in outputs)
