"""A loss along a line through weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from runner.plots.landscape import DrawnLosses, write_notes
from runner.plots.style import CYCLE, label, new_figure, styled

__all__ = ["landscape_line"]


@styled
def landscape_line(
    x: np.ndarray,
    losses: np.ndarray,
    marks: Mapping[str, tuple[float, float]] | None = None,
    axis_name: str = "direction 1",
    title: str = "Loss along a line",
    note: str = "",
) -> Figure:
    """
    Args:
        x: ``(X,)``.
        losses: ``(X,)``; non-finite values leave a gap in the line, which a note states.
        marks: by what it is called, place and loss of a point that is marked.
    """
    drawn = DrawnLosses.of(losses)
    fig, axes = new_figure(7.0, 3.8, title=title)
    ax = axes[0, 0]
    ax.plot(x, np.where(np.isfinite(losses), drawn.values, np.nan), color=CYCLE[0])
    for position, (name, (place, loss)) in enumerate((marks or {}).items()):
        color = CYCLE[1 + position % (len(CYCLE) - 1)]
        ax.plot([place], [min(loss, drawn.high)], "o", color=color, markersize=7, markeredgecolor="white",
                zorder=5, label=label(name, 40))  # fmt: skip
    if drawn.is_log:
        ax.set_yscale("log")
    ax.set(xlabel=label(axis_name, 90), ylabel="loss")
    if marks:
        ax.legend()
    write_notes(fig, note, drawn.note)
    return fig
