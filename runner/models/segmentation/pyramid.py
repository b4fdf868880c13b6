"""Segmentation models with feature pyramids: FPN, PSPNet, PAN and UPerNet."""

from __future__ import annotations

from typing import Annotated, Literal, Unpack

import segmentation_models_pytorch as smp
from annotated_types import Ge, Lt

from runner.models.segmentation.encoder import Channels, Depth, EncoderOptions, PadToStride, Segmenter

__all__ = [
    "FPN",
    "PAN",
    "FPNSegmenter",
    "PANSegmenter",
    "PSPNet",
    "PSPNetSegmenter",
    "UPerNet",
    "UPerNetSegmenter",
]

Dropout = Annotated[float, Ge(0), Lt(1)]


class FPN(PadToStride, smp.FPN):
    """``smp.FPN`` for images of any size."""


class PSPNet(PadToStride, smp.PSPNet):
    """``smp.PSPNet`` for images of any size."""


class PAN(PadToStride, smp.PAN):
    """``smp.PAN`` for images of any size."""

    smallest_map = 8  # the decoder halves it three times


class UPerNet(PadToStride, smp.UPerNet):
    """``smp.UPerNet`` for images of any size."""


class FPNSegmenter(Segmenter, FPN):
    """Kirillov et al., "Panoptic feature pyramid networks" (2019, arXiv:1901.02446).

    Args:
        num_classes: number of classes.
        decoder_pyramid_channels: number of channels of the pyramid.
        decoder_segmentation_channels: number of channels of the segmentation branches on its levels.
        dropout: channel dropout probability before the head.
        options: see `Segmenter`.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        decoder_pyramid_channels: Channels = 256,
        decoder_segmentation_channels: Channels = 128,
        dropout: Dropout = 0.2,
        **options: Unpack[EncoderOptions],
    ) -> None:
        super().__init__(
            num_classes,
            decoder_pyramid_channels=decoder_pyramid_channels,
            decoder_segmentation_channels=decoder_segmentation_channels,
            decoder_dropout=dropout,
            **options,
        )


class PSPNetSegmenter(Segmenter, PSPNet):
    """Zhao et al., "Pyramid scene parsing network" (2016, arXiv:1612.01105).

    Args:
        num_classes: number of classes.
        encoder_depth: number of encoder stages, each of which halves the image size.
        psp_out_channels: number of output channels of the pyramid pooling module.
        dropout: channel dropout probability before the head.
        options: see `Segmenter`.
    """

    def __init__(  # type: ignore[misc]  # these are not forwarded
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_depth: Depth = 3,
        psp_out_channels: Channels = 512,
        dropout: Dropout = 0.2,
        **options: Unpack[EncoderOptions],
    ) -> None:
        super().__init__(
            num_classes,
            encoder_depth=encoder_depth,
            psp_out_channels=psp_out_channels,
            psp_dropout=dropout,
            upsampling=2**encoder_depth,
            **options,
        )


class PANSegmenter(Segmenter, PAN):
    """Li et al., "Pyramid attention network" (2018, arXiv:1805.10180).

    Args:
        num_classes: number of classes.
        encoder_output_stride: stride of the encoder's last feature map; lower is finer and slower.
        decoder_channels: number of channels of the decoder.
        options: see `Segmenter`.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_output_stride: Literal[16, 32] = 16,
        decoder_channels: Channels = 32,
        **options: Unpack[EncoderOptions],
    ) -> None:
        stride = encoder_output_stride
        super().__init__(
            num_classes, encoder_output_stride=stride, decoder_channels=decoder_channels, **options
        )


class UPerNetSegmenter(Segmenter, UPerNet):
    """Xiao et al., "Unified perceptual parsing" (2018, arXiv:1807.10221).

    Args:
        num_classes: number of classes.
        decoder_channels: number of channels of the pyramid.
        options: see `Segmenter`.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        decoder_channels: Channels = 256,
        **options: Unpack[EncoderOptions],
    ) -> None:
        super().__init__(num_classes, decoder_channels=decoder_channels, **options)
