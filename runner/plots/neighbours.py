"""Table of words and their nearest neighbors."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["neighbour_table"]


@styled
def neighbour_table(
    words: Sequence[str], nearest: Sequence[Sequence[tuple[str, float]]], title: str = "Nearest words"
) -> Figure:
    """One line a word.

    Args:
        nearest: of each word, its neighbours with their cosines, the nearest first.
    """
    num_columns = max(map(len, nearest), default=1)
    fig, axes = new_figure(2.0 + 1.45 * num_columns, 0.7 + 0.27 * max(1, len(words)), title=title)
    ax = axes[0, 0]
    ax.set(xlim=(0, num_columns + 1.2), ylim=(len(words), 0))
    ax.axis("off")
    for row, (word, found) in enumerate(zip(words, nearest, strict=True)):
        ax.text(0, row + 0.5, label(word, 18), va="center", color=CYCLE[0], weight="bold")
        for column, (name, cosine) in enumerate(found):
            ax.text(1.2 + column, row + 0.5, label(name, 13), va="center")
            ax.text(
                2.15 + column, row + 0.5, f"{cosine:.2f}", va="center", ha="right", fontsize=6.5, color=MUTED
            )
    return fig
