"""Detection backbones with frozen batch norm, their feature pyramids and anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torchvision
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock

from runner.errors import UserError
from runner.models.detection.detector import Float32Anchors
from runner.models.pretrained import load_torchvision_weights
from runner.models.weights import load_weights

__all__ = [
    "BackboneName",
    "FixedBatchNorm2d",
    "Levels",
    "feature_pyramid",
    "freeze",
    "freeze_batch_norms",
    "load_classifier",
    "make_anchors",
    "stages_of",
]


def make_anchors(
    sizes: Sequence[int] | Sequence[Sequence[int]], aspect_ratios: Sequence[float], num_levels: int
) -> Float32Anchors:
    """Build the anchors of all levels.

    Args:
        sizes: one or several sizes for each level, in pixels.
        aspect_ratios: height-to-width ratios, used at every level.
        num_levels: number of levels of the pyramid.

    Raises:
        UserError: the number of entries differs from ``num_levels``, or the number of sizes differs between
            levels.
    """
    grouped = tuple(tuple(group) if isinstance(group, list | tuple) else (group,) for group in sizes)
    if len(grouped) != num_levels or len({len(group) for group in grouped}) != 1:
        raise UserError(
            f"anchor_sizes={[list(group) for group in grouped]}: expected {num_levels} entries, one for each "
            "level of the pyramid and for additional levels on top of it, with the same number of sizes each."
        )
    return Float32Anchors(grouped, (tuple(aspect_ratios),) * num_levels)


class FixedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that uses its running statistics also in training mode.

    A detector's batch has too few images to estimate the statistics of features. Unlike torchvision's
    ``FrozenBatchNorm2d``, it has the same tensors as ``BatchNorm2d``, so weights fit both.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, C, H, W)`` → ``(N, C, H, W)``."""
        return functional.batch_norm(
            inputs, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def freeze_batch_norms(module: nn.Module) -> None:
    """Replace every batch norm in ``module`` by one with the same tensors that is not trained."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            fixed = FixedBatchNorm2d(child.num_features, child.eps)
            fixed.load_state_dict(child.state_dict())
            setattr(module, name, fixed.requires_grad_(False))
        else:
            freeze_batch_norms(child)


BackboneName = Literal["resnet18", "resnet34", "resnet50", "resnet101", "mobilenet_v2", "mobilenet_v3_large"]
Levels = Sequence[Annotated[int, Ge(0), Le(5)]]
TRAINED_BY_DEFAULT = 3
"""Number of stages, counted from the last; the first ones detect generic features such as edges."""


def load_classifier(name: str, pretrained: bool, weights: str | None, **options: Any) -> nn.Module:
    """Build a classifier of torchvision, with weights.

    Args:
        name: name of the model in torchvision.
        pretrained: load torchvision's ImageNet weights.
        weights: local file to load weights from.
        options: further arguments of the model.

    Raises:
        UserError: both ``pretrained`` and ``weights`` are set.
        WeightsError: the weights cannot be loaded or do not fit.
    """
    if pretrained and weights:
        raise UserError(
            "pretrained_backbone=true and backbone_weights=FILE exclude each other; set only one of them."
        )
    classifier = torchvision.models.get_model(name, weights=None, **options)
    if pretrained:
        load_torchvision_weights(classifier, name)
    if weights:
        load_weights(classifier, weights)
    return classifier


def stages_of(classifier: nn.Module) -> tuple[nn.Module, list[str]]:
    """Return the body and the names of the last child of each stage.

    The output of stage k is smaller than the image by a factor of 2^(k + 1). MobileNets have an additional
    stage at the end, with the resolution of the preceding one.
    """
    if hasattr(classifier, "layer4"):
        return classifier, ["relu", "layer1", "layer2", "layer3", "layer4"]
    body: Any = classifier.features
    strided = [str(index) for index, block in enumerate(body) if getattr(block, "_is_cn", False)]
    return body, ["0", *strided, str(len(body) - 1)]


def freeze(
    body: nn.Module,
    stages: list[str],
    num_trained: int | None,
    has_weights: bool,
    still_norm: bool | None,
) -> None:
    """Freeze the first stages and the batch norms of a backbone.

    Args:
        body: the backbone.
        stages: names of the last child of each stage.
        num_trained: number of stages that are trained, counted from the last; None for the default, which is
            all if the backbone has no pretrained weights.
        has_weights: whether the backbone starts from pretrained weights.
        still_norm: whether batch norms are frozen; None freezes them if there are pretrained weights.

    Raises:
        UserError: there are fewer stages than should be trained, or randomly initialized stages would be
            frozen.
    """
    if num_trained is None:
        num_trained = TRAINED_BY_DEFAULT if has_weights else len(stages)
    if num_trained > len(stages):
        raise UserError(f"trainable_backbone_layers={num_trained}: the backbone has {len(stages)} stages.")
    if num_trained < len(stages) and not has_weights:
        raise UserError(
            f"trainable_backbone_layers={num_trained} would freeze stages with random weights. Load backbone "
            "weights (model.pretrained_backbone=true or model.backbone_weights=FILE), or omit the setting."
        )
    frozen = stages[: len(stages) - num_trained]
    for name, child in body.named_children():
        if not frozen:
            break
        child.requires_grad_(False)
        if name == frozen[-1]:
            break
    if still_norm or (still_norm is None and has_weights):
        freeze_batch_norms(body)


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
    """Build a feature pyramid on stages of a backbone (Lin et al. 2016, arXiv:1612.03144).

    Args:
        name: name of the backbone.
        levels: the stages it is built on, see ``stages_of``.
        channels: number of channels of every level.
        extra: block that computes additional, smaller levels.
        pretrained: see `BackboneOptions`.
        weights: see `BackboneOptions`.
        has_weights: see `BackboneOptions`.
        still_norm: see `BackboneOptions`.
        num_trained: see `BackboneOptions`.

    Raises:
        UserError: the backbone does not have these stages, or its options are incompatible.
        WeightsError: the weights cannot be loaded or do not fit.
    """
    body, stages = stages_of(load_classifier(name, pretrained, weights))
    if not levels or sorted(set(levels)) != levels or levels[-1] >= len(stages):
        raise UserError(
            f"levels={levels}: expected increasing numbers from 0 to {len(stages) - 1}, stages of {name}."
        )
    freeze(body, stages, num_trained, has_weights, still_norm)
    kept = [stages[level] for level in levels]
    widths = [width_of(body, stage) for stage in kept]
    names = {stage: str(index) for index, stage in enumerate(kept)}
    return BackboneWithFPN(body, names, widths, channels, extra)


def width_of(body: Any, stage: str) -> int:
    """Return the number of output channels of the child ``stage``."""
    child = getattr(body, stage)
    if hasattr(child, "out_channels"):
        return child.out_channels
    convolutions = [module for module in child.modules() if isinstance(module, nn.Conv2d)]
    return convolutions[-1].out_channels if convolutions else body.conv1.out_channels
