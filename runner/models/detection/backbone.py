"""Backbones of detectors: torchvision's classifiers without their heads, and feature pyramids on them."""

from __future__ import annotations

from typing import Annotated, Literal

import torchvision
from annotated_types import Ge, Le
from torch import nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from runner.errors import UserError
from runner.models.detection.frozen_batch_norm import keep_norms_still
from runner.models.pretrained import load_torchvision_weights
from runner.models.weights import load_weights

__all__ = ["BackboneName", "Levels", "feature_pyramid", "freeze_first_stages", "load_classifier", "stages_of"]

BackboneName = Literal["resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2", "mobilenet_v3_large"]
Levels = list[Annotated[int, Ge(0), Le(5)]]
TRAINED_BY_DEFAULT = 3
"""Stages, from the last; the first ones see edges and colours, which need no more training."""


def load_classifier(name: str, pretrained: bool, weights: str | None, **options) -> nn.Module:
    """torchvision's classifier of that name.

    Args:
        pretrained: with torchvision's ImageNet weights.
        weights: with those of a local file.

    Raises:
        UserError: both are given.
        WeightsError: they cannot be had, or do not fit.
    """
    if pretrained and weights:
        raise UserError("pretrained_backbone=true and backbone_weights=FILE are two starts; give one of them.")
    classifier = torchvision.models.get_model(name, weights=None, **options)
    if pretrained:
        load_torchvision_weights(classifier, name)
    if weights:
        load_weights(classifier, weights)
    return classifier


def stages_of(classifier: nn.Module) -> tuple[nn.Module, list[str]]:
    """The body, and the names of the children that end its stages: stage k is 2^(k + 1) times smaller than the
    image. MobileNets have one more at the end, as small as the one before it."""
    if hasattr(classifier, "layer4"):
        return classifier, ["relu", "layer1", "layer2", "layer3", "layer4"]
    body = classifier.features
    strided = [str(place) for place, block in enumerate(body) if getattr(block, "_is_cn", False)]
    return body, ["0", *strided, str(len(body) - 1)]


def freeze_first_stages(body: nn.Module, stages: list[str], num_trained: int | None, has_weights: bool) -> None:
    """Takes the stages before the last ``num_trained`` out of training; all train where there are no weights.

    Raises:
        UserError: there are not so many stages, or nothing would be known by those that do not train.
    """
    if num_trained is None:
        num_trained = TRAINED_BY_DEFAULT if has_weights else len(stages)
    if num_trained > len(stages):
        raise UserError(f"trainable_backbone_layers={num_trained}: the backbone has {len(stages)} stages.")
    if num_trained < len(stages) and not has_weights:
        raise UserError(
            f"trainable_backbone_layers={num_trained} would keep stages with random weights as they are. Give the "
            "backbone weights (model.pretrained_backbone=true, model.backbone_weights=FILE), or leave it out."
        )
    frozen = stages[: len(stages) - num_trained]
    for name, child in body.named_children():
        if not frozen:
            break
        child.requires_grad_(False)
        if name == frozen[-1]:
            break


def feature_pyramid(
    name: str,
    levels: list[int],
    channels: int,
    extra: ExtraFPNBlock,
    pretrained: bool,
    weights: str | None,
    has_weights: bool,
    still_norm: bool | None,
    num_trained: int | None,
) -> BackboneWithFPN:
    """A feature pyramid on some stages of a backbone (Lin et al. 2016, arXiv:1612.03144).

    Args:
        levels: the stages it is built on, see ``stages_of``.
        channels: of every level.
        extra: makes further, smaller levels.
        pretrained, weights: see ``load_classifier``.
        has_weights: whether the backbone starts from weights, also such that are loaded later.
        still_norm: batch norms keep their statistics and scales; None: where there are weights.
        num_trained: see ``freeze_first_stages``.
    """
    body, stages = stages_of(load_classifier(name, pretrained, weights))
    if not levels or sorted(set(levels)) != levels or levels[-1] >= len(stages):
        raise UserError(f"levels={levels}: expected rising numbers from 0 to {len(stages) - 1}, stages of {name}.")
    freeze_first_stages(body, stages, num_trained, has_weights)
    if still_norm or (still_norm is None and has_weights):
        keep_norms_still(body)
    kept = [stages[level] for level in levels]
    widths = [width_of(body, stage) for stage in kept]
    names = {stage: str(place) for place, stage in enumerate(kept)}
    return BackboneWithFPN(body, names, widths, channels, extra)


def width_of(body: nn.Module, stage: str) -> int:
    """Channels that the child of that name puts out."""
    child = getattr(body, stage)
    if hasattr(child, "out_channels"):
        return child.out_channels
    convolutions = [module for module in child.modules() if isinstance(module, nn.Conv2d)]
    return convolutions[-1].out_channels if convolutions else body.conv1.out_channels
