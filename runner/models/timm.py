"""Image backbones of timm, by name."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any

import timm
from annotated_types import Ge, Lt
from torch import nn

from runner.errors import UserError, WeightsError

__all__ = ["timm_model"]


def timm_model(
    name: str,
    num_classes: Annotated[int, Ge(1)],
    in_channels: Annotated[int, Ge(1)] = 3,
    pretrained: bool = False,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    stochastic_depth: Annotated[float, Ge(0), Lt(1)] = 0.0,
    image_size: Annotated[int, Ge(1)] | None = None,
) -> nn.Module:
    """Builds a backbone of timm with a new head. ``(N, C, H, W)`` → ``(N, num_classes)``.

    Args:
        name: name as in ``timm.list_models()``, with or without a weights tag: ``resnet26d``,
            ``vit_tiny_patch16_224``, ``convnext_tiny.fb_in22k``.
        num_classes: number of outputs; 1 for a single regression target.
        in_channels: number of image channels; timm adapts pretrained stems.
        pretrained: load the weights that timm publishes under the name.
        dropout: dropout probability before the head.
        stochastic_depth: timm's ``drop_path_rate``, the drop probability of the last block.
        image_size: side of the square images in pixels; only used by backbones with a fixed input size, such
            as vision transformers.

    Raises:
        UserError: timm has no such backbone, or it cannot be built with these options.
        WeightsError: no pretrained weights exist, or they cannot be downloaded.
    """
    check_name(name, pretrained)
    config = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {}
    if image_size and config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    if stochastic_depth:
        options["drop_path_rate"] = stochastic_depth
    try:
        return timm.create_model(
            name,
            pretrained=pretrained,
            num_classes=num_classes,
            in_chans=in_channels,
            drop_rate=dropout,
            **options,
        )
    except OSError as error:
        raise WeightsError(
            f"The weights of timm's {name!r} cannot be downloaded ({error}). "
            "Check the connection, or specify a local file with weights=FILE and pretrained=false."
        ) from error
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        size = f", image_size={image_size}" if "img_size" in options else ""
        size += f", stochastic_depth={stochastic_depth:g}" if stochastic_depth else ""
        raise UserError(
            f"timm's {name!r} cannot be built with in_channels={in_channels}, dropout={dropout}{size}: "
            f"{error}"
        ) from error


def check_name(name: str, pretrained: bool = False) -> None:
    """Checks that timm has the backbone and, if needed, its weights.

    Raises:
        UserError: the name or its tag is unknown; the message lists the nearest names.
        WeightsError: timm publishes no weights for the backbone.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture) or ":" in name:
        near = get_close_matches(architecture, timm.list_models(), n=3, cutoff=0.5)
        hint = f" Nearest: {', '.join(near)}." if near else ""
        raise UserError(f"timm has no backbone {name!r}.{hint} All of them: timm.list_models().")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UserError(
            f"timm's {architecture} has no weights tagged {tag!r}. There are: {', '.join(tags) or 'none'}."
        )
    if pretrained and not timm.is_model_pretrained(name):
        raise WeightsError(
            f"timm publishes no weights for {name!r}. Use pretrained=false, or choose another backbone."
        )


# Called when a config is checked, before the model is built.
setattr(timm_model, "check", check_name)  # noqa: B010 - functions have no declared attributes
