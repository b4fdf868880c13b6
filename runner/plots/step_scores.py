"""Windows of a series with the attribution of a prediction to past steps and variables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.saliency import bound_of
from runner.plots.style import CYCLE, INK, MUTED, label, new_figure, styled

__all__ = ["ScoredWindow", "step_scores"]

NAMED_VARIABLES = 24


@dataclass(frozen=True)
class ScoredWindow:
    """
    Attributes:
        name: of the window.
        words: description of the prediction.
        past: (L,) of the column that is forecast, in the unit of the data; None for a decision on all of them.
        forecast, truth: (H,), or None.
        values: (L, F).
    """

    name: str
    words: str
    values: np.ndarray
    past: np.ndarray | None = None
    forecast: np.ndarray | None = None
    truth: np.ndarray | None = None


@styled
def step_scores(
    windows: Sequence[ScoredWindow], variables: Sequence[str], title: str, unit: str = "", ends: bool = True
) -> Figure:
    """Of each window a column: the series with its forecast, the sum over the variables at each step, and below, of
    several variables, each of them.

    Args:
        variables: names of the F columns.
        unit: of the values.
        ends: steps are counted back from the last one.
    """
    several = len(variables) > 1
    has_past = windows[0].past is not None
    parts = [has_past, True, several]
    map_in = max(0.9, 0.17 * len(variables)) if len(variables) <= NAMED_VARIABLES else 2.6
    heights = [high for high, there in zip((1.5, 1.2, map_in), parts, strict=True) if there]
    fig, axes = new_figure(
        4.6 * len(windows) + (0.6 if several else 0), sum(heights) + 0.4 * len(heights) + 0.6, len(heights), len(windows),
        title, height_ratios=heights, sharex="col",
    )  # fmt: skip
    for column, window in enumerate(windows):
        length = len(window.values)
        steps = np.arange(1 - length, 1) if ends else np.arange(1, length + 1)
        rows = iter(axes[:, column])
        axes[0, column].set_title(f"{label(window.name, 52)}\n{label(window.words, 58)}", fontsize=9)
        if has_past:
            draw_series(next(rows), window, steps)
        total = window.values.sum(1)
        ax = next(rows)
        ax.bar(steps, total, width=0.9, color=np.where(total >= 0, CYCLE[1], CYCLE[0]))
        ax.axhline(0, color=MUTED, linewidth=0.8)
        if column == 0:
            ax.set_ylabel(label(unit or "attribution", 30))
        if several:
            ax = next(rows)
            bound = bound_of(window.values)
            edges = (steps[0] - 0.5, steps[-1] + 0.5, len(variables) - 0.5, -0.5)
            colors = ax.imshow(window.values.T, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto", extent=edges,
                               interpolation="nearest")  # fmt: skip
            ax.grid(False)
            few = len(variables) <= NAMED_VARIABLES
            ax.set_yticks(
                range(len(variables)) if few else [], [label(name, 18) for name in variables] if few else []
            )
            bar = fig.colorbar(colors, ax=ax, fraction=0.05, pad=0.02)
            bar.ax.tick_params(labelsize=6)
        last = steps[-1] + (0 if window.forecast is None else len(window.forecast))
        ax.set_xlim(steps[0] - 0.6, last + 0.6)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.set_xlabel("steps after the last input" if ends else "step")
    return fig


def draw_series(ax, window: ScoredWindow, steps: np.ndarray) -> None:
    ax.plot(steps, window.past, color=MUTED, linewidth=1.2, label="read")
    if window.forecast is not None:
        ahead = np.arange(1, len(window.forecast) + 1)
        if window.truth is not None:
            ax.plot(
                ahead,
                window.truth,
                color=INK,
                linewidth=1.2,
                label="truth",
                marker="." if len(ahead) == 1 else None,
            )
        ax.plot(
            ahead, window.forecast, color=CYCLE[0], label="forecast", marker="." if len(ahead) == 1 else None
        )
        ax.axvline(0.5, color=MUTED, linestyle=":", linewidth=1)
        ax.legend(loc="upper left", ncols=3, fontsize=7, borderaxespad=0.1)
