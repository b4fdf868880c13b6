"""The most confidently wrong predictions for texts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, INK, MUTED, class_labels, label, new_figure, styled

__all__ = ["most_wrong_texts"]

LIMIT = 12
WIDTH = 100


@styled
def most_wrong_texts(
    texts: Sequence[str],
    names: Sequence[str],
    targets: np.ndarray,
    preds: np.ndarray,
    confidences: np.ndarray,
    class_names: Sequence[str],
    title: str = "Most wrong predictions",
) -> Figure:
    """A list of texts with name, truth, prediction and its confidence.

    Args:
        texts, names: (N,), the worst first; the first 12 are shown.
        targets, preds: (N,) class numbers.
        confidences: (N,) probability given to the prediction.
    """
    shown = class_labels(class_names, len(class_names), 20)
    lines = [textwrap.wrap(label(text, 2 * WIDTH - 10), WIDTH) or [""] for text in texts[:LIMIT]]
    height = sum(len(wrapped) + 1.7 for wrapped in lines)
    fig, axes = new_figure(8.0, 0.7 + 0.155 * height, title=title)
    ax = axes[0, 0]
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(height, 0))
    top = 0.5
    for number, wrapped in enumerate(lines):
        verdict = f"truth {shown[int(targets[number])]}, predicted {shown[int(preds[number])]} {confidences[number]:.0%}"
        ax.text(0, top, verdict, color=CYCLE[1], fontsize=8, fontweight="bold", va="top")
        ax.text(1, top, label(names[number], 30), color=MUTED, fontsize=7, va="top", ha="right")
        ax.text(0, top + 1, "\n".join(wrapped), color=INK, fontsize=8, va="top", linespacing=1.15)
        top += len(wrapped) + 1.7
    return fig
