"""LinkNet and MA-Net, two lightweight variants of U-Net."""

from __future__ import annotations

from typing import Annotated

import segmentation_models_pytorch as smp
from annotated_types import Ge
from torch import nn

from runner.models.segmentation.encoder import Channels, Depth, build_segmenter, decoder_widths
from runner.models.segmentation.pad_to_stride import AnySize

__all__ = ["linknet", "manet"]


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
    """Chaurasia and Culurciello, "LinkNet" (2017, arXiv:1707.03718): encoder feature maps are added, not concatenated.

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
    """Fan et al., "MA-Net" (2020, doi:10.1109/ACCESS.2020.3025372): a U-Net with spatial and channel attention.

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
