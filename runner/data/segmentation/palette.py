"""Class colours for pictures of masks."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import torch
from torch import Tensor

from runner.data.segmentation.batch import IGNORE

__all__ = ["GROUNDS", "class_colors", "laid_over"]

# Okabe and Ito's colour-blind-safe palette (https://jfly.uni-koeln.de/color/).
FIRST = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (86, 180, 233), (230, 159, 0),
)  # fmt: skip
GROUNDS = ("background", "void", "other")
BACKGROUND = (60, 60, 60)
GOLDEN_ANGLE = 0.381966
STRENGTH = 0.6
LUMINANCE = (0.299, 0.587, 0.114)


def class_colors(class_names: Sequence[str]) -> list[list[int]]:
    """Returns red, green and blue of each class: seven easily distinguished colours, then hues far from the earlier ones."""
    colors = list(FIRST)
    while len(colors) < len(class_names):
        place = len(colors)
        rgb = colorsys.hsv_to_rgb(
            place * GOLDEN_ANGLE % 1, 0.55 + 0.4 * (place % 2), 0.55 + 0.15 * (place % 4)
        )
        colors.append(tuple(round(255 * value) for value in rgb))
    grounds = [place for place, name in enumerate(class_names) if name.lower() in GROUNDS]
    if grounds:
        colors.insert(grounds[0], BACKGROUND)
    return [list(color) for color in colors[: len(class_names)]]


def laid_over(image: Tensor, mask: Tensor, colors: Sequence[Sequence[int]]) -> Tensor:
    """Overlays the colours of a mask ``(H, W)`` on the grey image, uint8 ``(3, H, W)``; ignored pixels are unchanged."""
    table = torch.zeros((256, 3))
    table[: len(colors)] = torch.tensor(colors, dtype=torch.float32)
    tint = table[mask.long()].permute(2, 0, 1)
    gray = (image.float() * torch.tensor(LUMINANCE)[:, None, None]).sum(0, keepdim=True)
    mixed = (1 - STRENGTH) * gray + STRENGTH * tint
    return torch.where(mask == IGNORE, image, mixed.round().to(torch.uint8))
