"""Segmentation models for transformer encoders: SegFormer and DPT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Unpack

import segmentation_models_pytorch as smp
from annotated_types import Ge, Le

from runner.errors import UserError
from runner.models.segmentation.encoder import TIMM, Channels, EncoderOptions, PadToStride, Segmenter

__all__ = ["DPT", "DPTSegmenter", "Segformer", "SegformerSegmenter"]


class Segformer(PadToStride, smp.Segformer):
    """``smp.Segformer`` for images of any size."""


class DPT(PadToStride, smp.DPT):
    """``smp.DPT`` for images of any size."""

    multiple = 2  # the decoder halves the last feature map once more


class SegformerSegmenter(Segmenter, Segformer):
    """Xie et al., "SegFormer" (2021, arXiv:2105.15203).

    Args:
        num_classes: number of classes.
        encoder_name: ``mit_b0`` to ``mit_b5`` of the paper, or any other encoder of
            segmentation-models-pytorch, or of timm with the prefix ``tu-``.
        decoder_segmentation_channels: number of channels of the decoder.
        options: see `Segmenter`.
    """

    def __init__(  # type: ignore[misc]  # these are not forwarded
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_name: str = "mit_b0",
        decoder_segmentation_channels: Channels = 256,
        **options: Unpack[EncoderOptions],
    ) -> None:
        channels = decoder_segmentation_channels
        super().__init__(num_classes, encoder_name, decoder_segmentation_channels=channels, **options)


class DPTSegmenter(Segmenter, DPT):
    """Ranftl et al., "Vision transformers for dense prediction" (2021, arXiv:2103.13413).

    Args:
        num_classes: number of classes.
        encoder_name: a vision transformer of timm with the prefix ``tu-``.
        encoder_depth: number of encoder layers whose outputs are used.
        decoder_readout: how the class token is used.
        decoder_intermediate_channels: number of channels of the feature map of each of these layers.
        decoder_fusion_channels: number of channels of the decoder.
        options: see `Segmenter`.
    """

    def __init__(  # type: ignore[misc]  # these are not forwarded
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_name: str = "tu-vit_tiny_patch16_224",
        encoder_depth: Annotated[int, Ge(2), Le(4)] = 4,
        decoder_readout: Literal["ignore", "add", "cat"] = "cat",
        decoder_intermediate_channels: Sequence[Channels] = (64, 128, 256, 256),
        decoder_fusion_channels: Channels = 128,
        **options: Unpack[EncoderOptions],
    ) -> None:
        if not encoder_name.startswith(TIMM):
            raise UserError(
                f"model.encoder_name={encoder_name}: DPT requires a vision transformer of timm, such as "
                "tu-vit_tiny_patch16_224."
            )
        if len(decoder_intermediate_channels) != encoder_depth:
            raise UserError(
                f"model.decoder_intermediate_channels={list(decoder_intermediate_channels)}: expected "
                f"{encoder_depth} numbers (model.encoder_depth={encoder_depth})."
            )
        super().__init__(
            num_classes,
            encoder_name,
            encoder_depth,
            decoder_readout=decoder_readout,
            decoder_intermediate_channels=tuple(decoder_intermediate_channels),
            decoder_fusion_channels=decoder_fusion_channels,
            dynamic_img_size=True,
            **options,
        )
