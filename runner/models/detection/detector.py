"""Base classes of detectors, their COCO weights, and box computations in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple, TypedDict, Unpack

import torch
import torchvision
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d

from runner.errors import UserError, WeightsError
from runner.models.weights import WeightsReport, fit_weights

__all__ = [
    "BackboneOptions",
    "Detector",
    "DetectorOptions",
    "Float32Anchors",
    "Float32DefaultBoxes",
    "PyramidDetector",
    "PyramidOptions",
    "TorchvisionDetector",
    "in_float32",
    "load_coco_weights",
]


class BackboneOptions(NamedTuple):
    """Weights of a backbone, and which parts of it are frozen.

    Attributes:
        pretrained: load torchvision's ImageNet weights.
        weights: local file to load weights from.
        has_weights: whether the backbone starts from pretrained weights, including weights that are loaded
            later.
        still_norm: whether batch norms are frozen; None freezes them if there are pretrained weights.
        num_trained: number of trainable stages, counted from the last; None for the default.
    """

    pretrained: bool = False
    weights: str | None = None
    has_weights: bool = False
    still_norm: bool | None = None
    num_trained: int | None = None


class DetectorOptions(TypedDict, total=False):
    """Arguments that detectors forward to `TorchvisionDetector`."""

    pretrained: bool
    pretrained_backbone: bool
    backbone_weights: str | None
    trainable_backbone_layers: int | None
    still_norm: bool | None
    detections_per_img: int


class Detector(nn.Module):
    """Base class of detectors, to be listed before torchvision's class in the bases.

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
    hardware_hint: ClassVar[dict[str, Any]] = {}
    backbone: Any

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Compute losses in training mode, otherwise detections."""
        if targets is not None:
            targets = [{"boxes": t["boxes"], "labels": t["labels"] + self.first_label} for t in targets]
        outputs = super().forward(images, targets)
        if self.training:
            return outputs
        return [output | {"labels": output["labels"] - self.first_label} for output in outputs]

    def get_classifier(self) -> list[nn.Module]:
        """Return all modules except the backbone's body, under the name that timm uses for heads."""
        parts = [part for name, part in self.named_children() if name != "backbone"]
        neck = [part for name, part in self.backbone.named_children() if name not in ("body", "features")]
        return [part for part in (*neck, *parts) if any(True for _ in part.parameters())]


class TorchvisionDetector(Detector):
    """Base class of torchvision's detectors with a configurable backbone.

    Args:
        architecture: builds the arguments of torchvision's class, given the options of the backbone.
        published: name of the detector in torchvision whose COCO weights fit; None if there are none.
        published_for: settings for which COCO weights are published, for the error message.
        score_thresh: minimum score of a detection.
        nms_thresh: IoU threshold of non-maximum suppression.
        pretrained: load torchvision's COCO weights, except for the head.
        pretrained_backbone: load torchvision's ImageNet weights into the backbone.
        backbone_weights: local file with weights of the backbone, with torchvision's names.
        trainable_backbone_layers: number of trainable stages, counted from the last; if None, three with
            pretrained weights, otherwise all.
        still_norm: freeze the batch norms of the backbone; None freezes them with pretrained weights.
        detections_per_img: maximum number of detections per image.

    Attributes:
        argument_prefix: prefix of the names of the last arguments in torchvision's class.

    Raises:
        UserError: settings are incompatible.
        WeightsError: weights cannot be loaded or do not fit.
    """

    argument_prefix = ""

    def __init__(
        self,
        architecture: Callable[[BackboneOptions], dict[str, Any]],
        published: str | None,
        published_for: str,
        score_thresh: float,
        nms_thresh: float,
        pretrained: bool = False,
        pretrained_backbone: bool = False,
        backbone_weights: str | None = None,
        trainable_backbone_layers: Annotated[int, Ge(0)] | None = None,
        still_norm: bool | None = None,
        detections_per_img: Annotated[int, Gt(0)] = 100,
    ) -> None:
        has_weights = pretrained or pretrained_backbone or bool(backbone_weights)
        arguments = architecture(
            BackboneOptions(
                pretrained_backbone, backbone_weights, has_weights, still_norm, trainable_backbone_layers
            )
        )
        limits = {
            "score_thresh": score_thresh,
            "nms_thresh": nms_thresh,
            "detections_per_img": detections_per_img,
        }
        super().__init__(
            **arguments, **{self.argument_prefix + name: value for name, value in limits.items()}
        )
        if pretrained:
            load_coco_weights(self, published, published_for)


class PyramidOptions(DetectorOptions, total=False):
    """Arguments that detectors with a feature pyramid forward to `PyramidDetector`."""

    min_size: int
    max_size: int


class PyramidDetector(TorchvisionDetector):
    """Base class of detectors for images of any size, with a feature pyramid.

    Args:
        architecture, published, published_for, score_thresh, nms_thresh: see `TorchvisionDetector`.
        min_size, max_size: images are resized to a shorter side of ``min_size``, or a longer side of
            ``max_size`` if that is smaller.
        options: see `TorchvisionDetector`.
    """

    def __init__(
        self,
        architecture: Callable[[BackboneOptions], dict[str, Any]],
        published: str | None,
        published_for: str,
        score_thresh: float,
        nms_thresh: float,
        min_size: Annotated[int, Gt(0)] = 800,
        max_size: Annotated[int, Gt(0)] = 1333,
        **options: Unpack[DetectorOptions],
    ) -> None:
        def resizing(backbone: BackboneOptions) -> dict[str, Any]:
            return architecture(backbone) | {"min_size": min_size, "max_size": max(min_size, max_size)}

        super().__init__(resizing, published, published_for, score_thresh, nms_thresh, **options)


def load_coco_weights(model: nn.Module, name: str | None, needed: str) -> WeightsReport:
    """Download the weights of torchvision's detector ``name``, verify their hash and load them.

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
            "local file with weights=FILE and pretrained=false."
        ) from error
    return transplant(model, reference, name)


def transplant(model: nn.Module, reference: nn.Module, name: str) -> WeightsReport:
    """Copy all matching tensors, and the epsilon of batch norms, which weights do not contain."""
    state = reference.state_dict()
    for tensor_name, tensor in model.state_dict().items():
        if tensor_name.endswith("num_batches_tracked"):
            state.setdefault(tensor_name, torch.zeros_like(tensor))
    report = fit_weights(model, state, source=f"{name}, COCO")
    for module_name, module in reference.named_modules():
        if isinstance(module, FrozenBatchNorm2d | nn.BatchNorm2d):
            setattr(model.get_submodule(module_name), "eps", module.eps)  # noqa: B010 - a float, not a module
    return report


def float32_placeholders(features: list[Tensor]) -> list[Tensor]:
    """Return float32 tensors with the shapes and devices of the features, without allocating memory."""
    return [torch.empty((), dtype=torch.float32, device=part.device).expand(part.shape) for part in features]


class Float32Anchors(AnchorGenerator):
    """Anchors in float32 also for features in half precision, which would round pixels."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        return super().forward(image_list, float32_placeholders(feature_maps))


class Float32DefaultBoxes(DefaultBoxGenerator):
    """Default boxes in float32 also for features in half precision, which would round pixels."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        return super().forward(image_list, float32_placeholders(feature_maps))


def in_float32(head: nn.Module) -> nn.Module:
    """Cast the outputs of a head to float32; its computations keep the ambient precision."""
    head.register_forward_hook(cast_outputs)
    return head


def cast_outputs(module: nn.Module, inputs: Any, outputs: Any) -> Any:
    """Forward hook for `in_float32`."""
    return as_float32(outputs)


def as_float32(outputs: Any) -> Any:
    """Convert nested containers of tensors to float32."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {key: as_float32(value) for key, value in outputs.items()}
    return type(outputs)(as_float32(value) for value in outputs)
