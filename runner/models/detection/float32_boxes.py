"""Box computations in float32 under mixed precision.

In bfloat16, the neighbors of 300 are 298 and 302. torchvision computes anchors in the precision of the features and
decodes boxes in that of the head, so under mixed precision boxes would be off by some pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList

__all__ = ["ExactAnchors", "ExactDefaultBoxes", "in_float32"]


def stand_ins(features: list[Tensor]) -> list[Tensor]:
    """Returns float32 tensors of the features' shapes without allocating memory: anchors only need shape, device and
    dtype."""
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
