"""U-Net, U-Net++, LinkNet and MA-Net, with skip connections from encoder to decoder."""

from __future__ import annotations

from typing import Annotated, Literal

import segmentation_models_pytorch as smp
from annotated_types import Ge
from torch import nn

from runner.models.segmentation.encoder import AnySize, Channels, Depth, build_segmenter, decoder_widths

__all__ = ["linknet", "manet", "unet", "unet_plus_plus"]


class Unet(AnySize, smp.Unet):
    pass


class UnetPlusPlus(AnySize, smp.UnetPlusPlus):
    pass


def unet(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    decoder_channels: list[Channels] | None = None,
    decoder_attention_type: Literal["scse"] | None = None,
    decoder_interpolation: Literal["nearest", "bilinear"] = "nearest",
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Ronneberger et al., "U-Net" (2015, arXiv:1505.04597). ``(N, C, H, W)`` → ``(N, num_classes, H, W)``.

    Args:
        encoder_name: encoder of segmentation-models-pytorch, or of timm with the prefix ``tu-``.
        encoder_depth: number of times the encoder halves the image size.
        decoder_channels: number of channels of the decoder's stages, from the smallest feature map to the
            largest; 256, 128, 64, 32, 16 if None.
        decoder_attention_type: spatial and channel squeeze and excitation (Roy et al. 2018,
            arXiv:1808.08127).
        in_channels: number of image channels.
        pretrained: load the encoder's published ImageNet weights.

    Raises:
        UserError: the encoder does not exist, or the model cannot be built with these options.
        WeightsError: the weights cannot be loaded.
    """
    return build_segmenter(
        Unet,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_widths(decoder_channels, encoder_depth),
        decoder_attention_type=decoder_attention_type,
        decoder_interpolation=decoder_interpolation,
    )


def unet_plus_plus(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    decoder_channels: list[Channels] | None = None,
    decoder_attention_type: Literal["scse"] | None = None,
    decoder_interpolation: Literal["nearest", "bilinear"] = "nearest",
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Zhou et al., "UNet++" (2018, arXiv:1807.10165): a U-Net with dense paths between encoder and decoder.

    Same arguments and shapes as `unet`.
    """
    return build_segmenter(
        UnetPlusPlus,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_widths(decoder_channels, encoder_depth),
        decoder_attention_type=decoder_attention_type,
        decoder_interpolation=decoder_interpolation,
    )


class Linknet(AnySize, smp.Linknet):
    pass


class MAnet(AnySize, smp.MAnet):
    pass


def linknet(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Chaurasia and Culurciello, "LinkNet" (2017, arXiv:1707.03718): encoder feature maps are added, not
    concatenated.

    Same arguments and shapes as `runner.models.segmentation.unet.unet`.
    """
    return build_segmenter(
        Linknet, encoder_name, num_classes, in_channels, pretrained, encoder_depth=encoder_depth
    )


def manet(
    num_classes: Annotated[int, Ge(1)],
    encoder_name: str = "resnet18",
    encoder_depth: Depth = 5,
    decoder_channels: list[Channels] | None = None,
    decoder_pab_channels: Channels = 64,
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
) -> nn.Module:
    """Fan et al., "MA-Net" (2020, doi:10.1109/ACCESS.2020.3025372): a U-Net with spatial and channel
    attention.

    Same arguments and shapes as `runner.models.segmentation.unet.unet`.

    Args:
        decoder_pab_channels: number of channels of the spatial attention.
    """
    return build_segmenter(
        MAnet,
        encoder_name,
        num_classes,
        in_channels,
        pretrained,
        encoder_depth=encoder_depth,
        decoder_channels=decoder_widths(decoder_channels, encoder_depth),
        decoder_pab_channels=decoder_pab_channels,
    )
