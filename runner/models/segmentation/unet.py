"""U-Net, U-Net++, LinkNet and MA-Net, with skip connections from encoder to decoder."""

from __future__ import annotations

from typing import Annotated, Literal, Unpack

import segmentation_models_pytorch as smp
from annotated_types import Ge

from runner.models.segmentation.encoder import (
    Channels,
    Depth,
    EncoderOptions,
    PadToStride,
    Segmenter,
    decoder_widths,
)

__all__ = [
    "Linknet",
    "LinknetSegmenter",
    "MAnet",
    "MAnetSegmenter",
    "Unet",
    "UnetPlusPlus",
    "UnetPlusPlusSegmenter",
    "UnetSegmenter",
]


class Unet(PadToStride, smp.Unet):
    """``smp.Unet`` for images of any size."""


class UnetPlusPlus(PadToStride, smp.UnetPlusPlus):
    """``smp.UnetPlusPlus`` for images of any size."""


class Linknet(PadToStride, smp.Linknet):
    """``smp.Linknet`` for images of any size."""


class MAnet(PadToStride, smp.MAnet):
    """``smp.MAnet`` for images of any size."""


class UnetOptions(Segmenter):
    """Arguments shared by U-Net and U-Net++.

    Args:
        num_classes: number of classes.
        encoder_depth: number of encoder stages, each of which halves the image size.
        decoder_channels: number of channels of the decoder's stages, from the smallest feature map to the
            largest; 256, 128, 64, 32, 16 if None.
        decoder_attention_type: spatial and channel squeeze and excitation (Roy et al. 2018,
            arXiv:1808.08127).
        decoder_interpolation: interpolation of the decoder's upsampling.
        options: see `Segmenter`.
    """

    def __init__(  # type: ignore[misc]  # these are not forwarded
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_depth: Depth = 5,
        decoder_channels: list[Channels] | None = None,
        decoder_attention_type: Literal["scse"] | None = None,
        decoder_interpolation: Literal["nearest", "bilinear"] = "nearest",
        **options: Unpack[EncoderOptions],
    ) -> None:
        super().__init__(
            num_classes,
            encoder_depth=encoder_depth,
            decoder_channels=decoder_widths(decoder_channels, encoder_depth),
            decoder_attention_type=decoder_attention_type,
            decoder_interpolation=decoder_interpolation,
            **options,
        )


class UnetSegmenter(UnetOptions, Unet):
    """Ronneberger et al., "U-Net" (2015, arXiv:1505.04597)."""


class UnetPlusPlusSegmenter(UnetOptions, UnetPlusPlus):
    """Zhou et al., "UNet++" (2018, arXiv:1807.10165): a U-Net with dense paths from encoder to decoder."""


class LinknetSegmenter(Segmenter, Linknet):
    """Chaurasia and Culurciello, "LinkNet" (2017, arXiv:1707.03718).

    Feature maps of the encoder are added, not concatenated.
    """


class MAnetSegmenter(Segmenter, MAnet):
    """Fan et al., "MA-Net" (2020, doi:10.1109/ACCESS.2020.3025372): a U-Net with attention.

    Args:
        num_classes: number of classes.
        encoder_depth: number of encoder stages, each of which halves the image size.
        decoder_channels: number of channels of the decoder's stages, from the smallest feature map to the
            largest; 256, 128, 64, 32, 16 if None.
        decoder_pab_channels: number of channels of the spatial attention.
        options: see `Segmenter`.
    """

    def __init__(  # type: ignore[misc]  # these are not forwarded
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_depth: Depth = 5,
        decoder_channels: list[Channels] | None = None,
        decoder_pab_channels: Channels = 64,
        **options: Unpack[EncoderOptions],
    ) -> None:
        super().__init__(
            num_classes,
            encoder_depth=encoder_depth,
            decoder_channels=decoder_widths(decoder_channels, encoder_depth),
            decoder_pab_channels=decoder_pab_channels,
            **options,
        )
