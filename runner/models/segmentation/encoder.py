"""Base class of segmentation models: encoders, and padding of images to multiples of their stride."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, TypedDict

import timm
from annotated_types import Ge, Gt, Le
from segmentation_models_pytorch.encoders import encoders
from torch import Tensor, nn
from torch.nn import functional as F

from runner.errors import UserError, WeightsError

__all__ = [
    "Channels",
    "Depth",
    "EncoderOptions",
    "PadToStride",
    "Segmenter",
    "check_encoder",
    "decoder_widths",
]


class PadToStride(nn.Module):
    """Base class for models of segmentation-models-pytorch, to be listed before their class.

    Pads images on the right and at the bottom with replicated edges to a multiple of the encoder's stride,
    and crops the logits to the original size: ``(N, C, H, W)`` → ``(N, num_classes, H, W)`` for any H and W.

    Attributes:
        multiple: sides are padded to a multiple of ``multiple`` times the encoder's stride.
        smallest_map: minimum side of the encoder's last feature map that the decoder requires, in pixels.
    """

    multiple = 1
    smallest_map = 1
    encoder: Any

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, C, H, W)`` → logits ``(N, num_classes, H, W)``."""
        height, width = inputs.shape[-2:]
        bottom, right = self.missing_pixels(height), self.missing_pixels(width)
        if bottom or right:
            inputs = F.pad(inputs, (0, right, 0, bottom), mode="replicate")
        return super().forward(inputs)[..., :height, :width]

    def missing_pixels(self, side: int) -> int:
        """Return the number of pixels to add to a side."""
        stride = self.encoder.output_stride
        return max(-side % (self.multiple * stride), self.smallest_map * stride - side)


Depth = Annotated[int, Ge(3), Le(5)]
Channels = Annotated[int, Gt(0)]
WIDTHS = (256, 128, 64, 32, 16)
TIMM = "tu-"


class EncoderOptions(TypedDict, total=False):
    """Arguments that architectures forward to `Segmenter`."""

    encoder_name: str
    encoder_depth: int
    in_channels: int
    pretrained: bool


class Segmenter(PadToStride):
    """Base class of architectures of segmentation-models-pytorch, to be listed before the library's class.

    ``smp.create_model`` takes the same architectures by name, but without padding, bounds of arguments and
    messages for encoders that do not fit; a config could only be checked by building the model.

    Args:
        num_classes: number of classes.
        encoder_name: encoder of segmentation-models-pytorch, or of timm with the prefix ``tu-``.
        encoder_depth: number of encoder stages, each of which halves the image size.
        in_channels: number of image channels.
        pretrained: load the encoder's published ImageNet weights.
        architecture: arguments of the library's class.

    Raises:
        UserError: the encoder does not exist, or the model cannot be built with these options.
        WeightsError: the weights cannot be loaded.
    """

    def __init__(
        self,
        num_classes: Annotated[int, Ge(1)],
        encoder_name: str = "resnet18",
        encoder_depth: Depth = 5,
        in_channels: Annotated[int, Ge(1)] = 3,
        pretrained: bool = False,
        **architecture: Any,
    ) -> None:
        def architecture_of_base(**arguments: Any) -> None:
            super(Segmenter, self).__init__(**arguments)

        architecture_of_base.__name__ = type(self).__name__.removesuffix("Segmenter")
        options = {"encoder_depth": encoder_depth, **architecture}
        build_segmenter(architecture_of_base, encoder_name, num_classes, in_channels, pretrained, **options)


def check_encoder(name: str) -> None:
    """Check that one of the libraries has the encoder.

    Raises:
        UserError: the encoder does not exist; the message lists the nearest names.
    """
    is_timm = name.startswith(TIMM) and timm.is_model(name.removeprefix(TIMM).partition(".")[0])
    if name in encoders or (is_timm and ":" not in name):  # a scheme would read a repository or a folder
        return
    known = [*encoders, *(f"{TIMM}{model}" for model in timm.list_models())]
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if timm.is_model(name):
        near = [f"{TIMM}{name}"]
    hint = f" Nearest: {', '.join(near)}." if near else ""
    raise UserError(
        f"model.encoder_name={name}: no such encoder.{hint} Available are "
        f"{', '.join(list(encoders)[:6])} … (segmentation_models_pytorch.encoders), and those of "
        f"timm.list_models() with the prefix {TIMM!r}."
    )


def published_weights(name: str, pretrained: bool) -> str | None:
    """Return the name of the published weights to load into an encoder; None if not ``pretrained``.

    Raises:
        WeightsError: no weights are published for the encoder.
    """
    if not pretrained:
        return None
    if name.startswith(TIMM):
        known = ["imagenet"] if timm.is_model_pretrained(name.removeprefix(TIMM)) else []
    else:
        known = list(encoders[name]["pretrained_settings"])
    if not known:
        raise WeightsError(
            f"No published weights for the encoder {name!r}. Use pretrained=false, or choose another."
        )
    return "imagenet" if "imagenet" in known else known[0]


def decoder_widths(channels: Sequence[int] | None, depth: int) -> tuple[int, ...]:
    """Return the channels of the decoder's stages, from the smallest feature map to the largest.

    Raises:
        UserError: the number of stages differs from that of the encoder.
    """
    if channels is None:
        return WIDTHS[-depth:]
    if len(channels) != depth:
        raise UserError(
            f"model.decoder_channels={list(channels)}: expected {depth} numbers, one for each stage of the "
            f"encoder (model.encoder_depth={depth})."
        )
    return tuple(channels)


def build_segmenter(
    architecture: Callable[..., Any],
    encoder_name: str,
    num_classes: int,
    in_channels: int,
    pretrained: bool,
    **options: Any,
) -> nn.Module:
    """Build an architecture of segmentation-models-pytorch with the given encoder.

    Args:
        architecture: class of the model, or its constructor.
        encoder_name: name of the encoder.
        num_classes: number of classes.
        in_channels: number of image channels.
        pretrained: load the encoder's published ImageNet weights.
        options: further arguments of the architecture.

    Raises:
        UserError: the encoder does not exist, or the architecture does not support it.
        WeightsError: the weights cannot be loaded.
    """
    check_encoder(encoder_name)
    weights = published_weights(encoder_name, pretrained)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # smp 0.6 and timm 1.0 warn of deprecated names of models
            return architecture(
                encoder_name=encoder_name,
                encoder_weights=weights,
                in_channels=in_channels,
                classes=num_classes,
                **options,
            )
    except OSError as error:
        raise WeightsError(
            f"The weights of the encoder {encoder_name!r} cannot be downloaded ({error}). "
            "Check the connection, or specify a local file of a classifier with weights=FILE and "
            "pretrained=false."
        ) from error
    except (ValueError, KeyError, TypeError, RuntimeError, AssertionError, IndexError) as error:
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        raise UserError(
            f"{architecture.__name__} cannot be built on the encoder {encoder_name!r} with {given}: {error} "
            "Try another encoder or other values."
        ) from error
