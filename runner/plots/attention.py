"""Attention maps of a decoder."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import INK, label, new_figure, styled

__all__ = ["attention_maps"]

INCHES_PER_TOKEN = 0.2


@styled
def attention_maps(
    maps: Sequence[tuple[list[str], list[str], np.ndarray]], title: str = "Attention"
) -> Figure:
    """Plots one attention map per sequence: generated tokens from top to bottom, source tokens from left to right, darker
    for higher attention.

    Args:
        maps: source tokens (S), generated tokens (T) and attention ``(T, S)`` of each sequence.
    """
    cols = min(2, len(maps))
    rows = math.ceil(len(maps) / cols)
    wide = max(len(source) for source, _, _ in maps) * INCHES_PER_TOKEN + 1.3
    high = max(len(output) for _, output, _ in maps) * INCHES_PER_TOKEN + 1.2
    fig, axes = new_figure(max(cols * wide, 4.0), rows * high + 0.4, rows, cols, title=title)
    for ax in axes.flat[len(maps) :]:
        ax.axis("off")
    for ax, (source, output, attention) in zip(axes.flat, maps, strict=False):
        ax.imshow(attention, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.set_xticks(range(len(source)), [label(token, 12) for token in source], rotation=90, color=INK)
        ax.set_yticks(range(len(output)), [label(token, 12) for token in output], color=INK)
        ax.xaxis.tick_top()
        ax.tick_params(length=0, labelsize=7)
        ax.grid(False)
    return fig
