"""Attribution of each label or generated token of a sequence to input tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.saliency import bound_of
from runner.plots.style import INK, label, new_figure, styled

__all__ = ["token_matrix"]

INCHES_PER_TOKEN = 0.21


@styled
def token_matrix(
    tokens: Sequence[str], labels: Sequence[str], values: np.ndarray, title: str, unit: str = ""
) -> Figure:
    """Steps with their labels from top to bottom, tokens from left to right: red for the label, blue against it.

    Args:
        tokens: (T,).
        labels: (S,).
        values: (S, T).
        unit: of the values.
    """
    wide = max(len(tokens) * INCHES_PER_TOKEN + 3.2, 4.5)
    fig, axes = new_figure(wide, max(len(labels) * INCHES_PER_TOKEN + 1.2, 2.2), title=title)
    ax = axes[0, 0]
    bound = bound_of(values)
    colors = ax.imshow(values, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
    ax.set_xticks(range(len(tokens)), [label(token, 12) or "·" for token in tokens], rotation=90, color=INK)
    ax.set_yticks(range(len(labels)), [label(name, 30) for name in labels], color=INK)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelsize=7)
    ax.grid(False)
    bar = fig.colorbar(colors, ax=ax, fraction=0.03, pad=0.02)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(unit, fontsize=7)
    return fig
