"""Segmentation models with feature pyramids: FPN, PSPNet, PAN and UPerNet."""

from __future__ import annotations

from typing import Annotated, Literal

import segmentation_models_pytorch as smp
from annotated_types import Ge, Lt
from torch import nn

from runner.models.segmentation.encoder import AnySize, Channels, Depth, build_segmenter

__all__ = ["fpn", "pan", "pspnet", "upernet"]

Dropout = Annotated[float, Ge(0), Lt(1)]


class FPN(AnySize, smp.FPN):
    pass


class PSPNet(AnySize, smp.PSPNet):
    pass


class PAN(AnySize, smp.PAN):
    smallest_map = 8  # it is halved three times


class UPerNet(AnySize, smp.UPerNet):
    pass


def fpn(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    decoder_pyramid_channels: Channels = 256,
    decoder_segmentation_channels: Channels = 128,
    dropout: Dropout = 0.2,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Kirillov et al., "Panoptic feature pyramid networks" (2019, arXiv:1901.02446).

    ``(N, C, H, W)`` → ``(N, num_classes, H, W)``.

    Args:
        encoder_name: encoder of segmentation-models-pytorch, or of timm with the prefix ``tu-``.
        encoder_depth: number of times the encoder halves the image size.
        decoder_pyramid_channels, decoder_segmentation_channels: number of channels of the pyramid and of the
            segmentation branches on its levels.
        dropout: channel dropout probability before the head.
        in_channels: number of image channels.
        pretrained: load the encoder's published ImageNet weights.

    Raises:
        UserError: the encoder does not exist, or the model cannot be built with these options.
        WeightsError: the weights cannot be loaded.
    """
    return build_segmenter(
        FPN,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        decoder_pyramid_channels=decoder_pyramid_channels,
        decoder_segmentation_channels=decoder_segmentation_channels,
        decoder_dropout=dropout,
    )


def pspnet(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 3,
    psp_out_channels: Channels = 512,
    dropout: Dropout = 0.2,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Zhao et al., "Pyramid scene parsing network" (2016, arXiv:1612.01105). Same arguments and shapes as
    `fpn`.

    Args:
        psp_out_channels: number of output channels of the pyramid pooling module.
    """
    return build_segmenter(
        PSPNet,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        psp_out_channels=psp_out_channels,
        psp_dropout=dropout,
        upsampling=2**encoder_depth,
    )


def pan(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    encoder_output_stride: Literal[16, 32] = 16,
    decoder_channels: Channels = 32,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Li et al., "Pyramid attention network" (2018, arXiv:1805.10180). Same arguments and shapes as `fpn`.

    Args:
        encoder_output_stride: stride of the encoder's last feature map; lower is finer and slower.
        decoder_channels: number of channels of the decoder.
    """
    return build_segmenter(
        PAN,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        encoder_output_stride=encoder_output_stride,
        decoder_channels=decoder_channels,
    )


def upernet(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    decoder_channels: Channels = 256,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Xiao et al., "Unified perceptual parsing" (2018, arXiv:1807.10221). Same arguments and shapes as `fpn`.

    Args:
        decoder_channels: number of channels of the pyramid.
    """
    return build_segmenter(
        UPerNet,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_channels,
    )
