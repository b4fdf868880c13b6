"""Segmentation models for transformer encoders: SegFormer and DPT."""

from __future__ import annotations

from typing import Annotated, Literal

import segmentation_models_pytorch as smp
from annotated_types import Ge, Le
from torch import nn

from runner.errors import UserError
from runner.models.segmentation.encoder import TIMM, AnySize, Channels, Depth, build_segmenter

__all__ = ["dpt", "segformer"]


class Segformer(AnySize, smp.Segformer):
    pass


class DPT(AnySize, smp.DPT):
    multiple = 2  # its decoder halves the last map once more


def segformer(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "mit_b0",
    encoder_depth: Depth = 5,
    decoder_segmentation_channels: Channels = 256,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Xie et al., "SegFormer" (2021, arXiv:2105.15203). ``(N, C, H, W)`` → ``(N, num_classes, H, W)``.

    Args:
        encoder_name: ``mit_b0`` to ``mit_b5`` of the paper, or any other encoder of
            segmentation-models-pytorch, or of timm with the prefix ``tu-``.
        encoder_depth: number of times the encoder halves the image size.
        decoder_segmentation_channels: number of channels of the decoder.
        in_channels: number of image channels.
        pretrained: load the encoder's published ImageNet weights.

    Raises:
        UserError: the encoder does not exist, or the model cannot be built with these options.
        WeightsError: the weights cannot be loaded.
    """
    return build_segmenter(
        Segformer,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        decoder_segmentation_channels=decoder_segmentation_channels,
    )


def dpt(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "tu-vit_tiny_patch16_224",
    encoder_depth: Annotated[int, Ge(2), Le(4)] = 4,
    decoder_readout: Literal["ignore", "add", "cat"] = "cat",
    decoder_intermediate_channels: list[Channels] = (64, 128, 256, 256),
    decoder_fusion_channels: Channels = 128,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Ranftl et al., "Vision transformers for dense prediction" (2021, arXiv:2103.13413).

    ``(N, C, H, W)`` → ``(N, num_classes, H, W)``.

    Args:
        encoder_name: a vision transformer of timm with the prefix ``tu-``.
        encoder_depth: number of encoder layers whose outputs are used.
        decoder_readout: how the class token is used.
        decoder_intermediate_channels: number of channels of the feature map of each of these layers.
        decoder_fusion_channels: number of channels of the decoder.
        in_channels: number of image channels.
        pretrained: load the encoder's published ImageNet weights.

    Raises:
        UserError: the encoder does not exist, or the model cannot be built with these options.
        WeightsError: the weights cannot be loaded.
    """
    if not encoder_name.startswith(TIMM):
        raise UserError(
            f"model.encoder_name={encoder_name}: DPT requires a vision transformer of timm, such as "
            "tu-vit_tiny_patch16_224."
        )
    if len(decoder_intermediate_channels) != encoder_depth:
        raise UserError(
            f"model.decoder_intermediate_channels={list(decoder_intermediate_channels)}: expected "
            f"{encoder_depth} "
            f"numbers (model.encoder_depth={encoder_depth})."
        )
    return build_segmenter(
        DPT,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        decoder_readout=decoder_readout,
        decoder_intermediate_channels=tuple(decoder_intermediate_channels),
        decoder_fusion_channels=decoder_fusion_channels,
        dynamic_img_size=True,
    )
