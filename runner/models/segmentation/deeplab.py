"""DeepLab V3 and V3+, which use atrous convolutions for a large receptive field without downsampling."""

from __future__ import annotations

from typing import Annotated, Literal, Unpack

import segmentation_models_pytorch as smp
from annotated_types import Ge, Gt, Lt

from runner.models.segmentation.encoder import Channels, EncoderOptions, PadToStride, Segmenter

__all__ = ["DeepLabV3", "DeepLabV3Plus", "DeepLabV3PlusSegmenter", "DeepLabV3Segmenter"]

Rates = tuple[Annotated[int, Gt(0)], Annotated[int, Gt(0)], Annotated[int, Gt(0)]]
Dropout = Annotated[float, Ge(0), Lt(1)]


class DeepLabV3(PadToStride, smp.DeepLabV3):
    """``smp.DeepLabV3`` for images of any size."""


class DeepLabV3Plus(PadToStride, smp.DeepLabV3Plus):
    """``smp.DeepLabV3Plus`` for images of any size."""


class DeepLabOptions(Segmenter):
    """Arguments shared by both versions.

    Args:
        num_classes: number of classes.
        encoder_output_stride: stride of the encoder's last feature map; lower is finer and slower.
        decoder_channels: number of channels of the decoder.
        decoder_atrous_rates: dilation rates of the three atrous convolutions.
        dropout: dropout probability before the decoder.
        options: see `Segmenter`.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_output_stride: Literal[8, 16] = 16,
        decoder_channels: Channels = 256,
        decoder_atrous_rates: Rates = (12, 24, 36),
        dropout: Dropout = 0.5,
        **options: Unpack[EncoderOptions],
    ) -> None:
        super().__init__(
            num_classes,
            encoder_output_stride=encoder_output_stride,
            decoder_channels=decoder_channels,
            decoder_atrous_rates=tuple(decoder_atrous_rates),
            decoder_aspp_dropout=dropout,
            **options,
        )


class DeepLabV3PlusSegmenter(DeepLabOptions, DeepLabV3Plus):
    """Chen et al., "Encoder-decoder with atrous separable convolution" (2018, arXiv:1802.02611)."""


class ForwardedOptions(EncoderOptions, total=False):
    """Arguments that `DeepLabV3Segmenter` forwards."""

    decoder_channels: int
    decoder_atrous_rates: tuple[int, int, int]
    dropout: float


class DeepLabV3Segmenter(DeepLabOptions, DeepLabV3):
    """Chen et al., "Rethinking atrous convolution" (2017, arXiv:1706.05587), on any encoder.

    It lacks the decoder of `DeepLabV3PlusSegmenter` that refines edges.

    Args:
        num_classes: number of classes.
        encoder_output_stride: stride of the encoder's last feature map; lower is finer and slower.
        options: see `DeepLabOptions`.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_output_stride: Literal[8, 16] = 8,
        **options: Unpack[ForwardedOptions],
    ) -> None:
        super().__init__(num_classes, encoder_output_stride=encoder_output_stride, **options)
