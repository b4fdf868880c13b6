"""Source texts with decoded and reference texts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure

from runner.plots.style import CYCLE, INK, MUTED, label, new_figure, styled

__all__ = ["translations"]

WIDTH = 92
COLORS = {"source": MUTED, "reference": CYCLE[2], "greedy": CYCLE[0], "beam": CYCLE[0]}


@styled
def translations(samples: Sequence[dict[str, str]], title: str = "Translations") -> Figure:
    """One text below the other.

    Args:
        samples: kind of text → text: ``source``, ``reference``, ``greedy``, ``beam``.
    """
    blocks = [[(kind, textwrap.wrap(label(text, 2 * WIDTH - 10), WIDTH) or ["–"]) for kind, text in sample.items()]
              for sample in samples]  # fmt: skip
    height = sum(sum(len(lines) for _, lines in block) + 0.8 for block in blocks)
    fig, axes = new_figure(8.0, 0.6 + 0.165 * height, title=title)
    ax = axes[0, 0]
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(height, 0))
    top = 0.2
    for block in blocks:
        for kind, lines in block:
            ax.text(0, top, kind, color=COLORS.get(kind, INK), fontsize=8, fontweight="bold", va="top")
            ax.text(0.12, top, "\n".join(lines), color=INK, fontsize=8, va="top", linespacing=1.2)
            top += len(lines)
        top += 0.8
    return fig
