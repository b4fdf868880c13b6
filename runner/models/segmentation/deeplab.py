"""DeepLab V3 and V3+: convolutions with holes look at wide surroundings without making the map smaller."""

from __future__ import annotations

from typing import Annotated, Literal

import segmentation_models_pytorch as smp
from annotated_types import Ge, Gt, Lt
from torch import nn

from runner.models.segmentation.encoder import Channels, Depth, build_segmenter
from runner.models.segmentation.pad_to_stride import AnySize

__all__ = ["deeplab_v3", "deeplab_v3_plus"]

Rates = tuple[Annotated[int, Gt(0)], Annotated[int, Gt(0)], Annotated[int, Gt(0)]]
Dropout = Annotated[float, Ge(0), Lt(1)]


class DeepLabV3(AnySize, smp.DeepLabV3):
    pass


class DeepLabV3Plus(AnySize, smp.DeepLabV3Plus):
    pass


def deeplab_v3_plus(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    encoder_output_stride: Literal[8, 16] = 16,
    decoder_channels: Channels = 256,
    decoder_atrous_rates: Rates = (12, 24, 36),
    dropout: Dropout = 0.5,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Chen et al., "Encoder-decoder with atrous separable convolution" (2018, arXiv:1802.02611).

    ``(N, C, H, W)`` → ``(N, num_classes, H, W)``.

    Args:
        encoder_name: of segmentation-models-pytorch, or of timm with ``tu-`` before it.
        encoder_depth: stages of the encoder.
        encoder_output_stride: how much smaller its last map is; less is finer and slower.
        decoder_channels: of the decoder.
        decoder_atrous_rates: how wide the holes of three convolutions are, in pixels of that map.
        dropout: share of the values left out before the decoder in training.
        in_channels: of the image.
        pretrained: start the encoder from its published ImageNet weights.

    Raises:
        UserError: there is no such encoder, or it cannot be built so.
        WeightsError: the weights cannot be had.
    """
    return build_segmenter(
        DeepLabV3Plus,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
        decoder_atrous_rates=tuple(decoder_atrous_rates),
        decoder_aspp_dropout=dropout,
    )


def deeplab_v3(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    encoder_output_stride: Literal[8, 16] = 8,
    decoder_channels: Channels = 256,
    decoder_atrous_rates: Rates = (12, 24, 36),
    dropout: Dropout = 0.5,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Chen et al., "Rethinking atrous convolution" (2017, arXiv:1706.05587), on any encoder.

    Takes and gives what `deeplab_v3_plus` does; it has no decoder for fine edges.
    """
    return build_segmenter(
        DeepLabV3,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
        decoder_atrous_rates=tuple(decoder_atrous_rates),
        decoder_aspp_dropout=dropout,
    )
