"""DeepLab V3 and V3+, which use atrous convolutions for a large receptive field without downsampling."""

from __future__ import annotations

from typing import Annotated, Literal

import segmentation_models_pytorch as smp
from annotated_types import Ge, Gt, Lt
from torch import nn

from runner.models.segmentation.encoder import AnySize, Channels, Depth, build_segmenter

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
        encoder_name: encoder of segmentation-models-pytorch, or of timm with the prefix ``tu-``.
        encoder_depth: number of encoder stages.
        encoder_output_stride: stride of the encoder's last feature map; lower is finer and slower.
        decoder_channels: number of channels of the decoder.
        decoder_atrous_rates: dilation rates of the three atrous convolutions.
        dropout: dropout probability before the decoder.
        in_channels: number of image channels.
        pretrained: load the encoder's published ImageNet weights.

    Raises:
        UserError: the encoder does not exist, or the model cannot be built with these options.
        WeightsError: the weights cannot be loaded.
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

    Same arguments and shapes as `deeplab_v3_plus`, but without the decoder that refines edges.
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
