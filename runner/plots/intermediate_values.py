"""Intermediate values of the trials of a sweep, and where trials were pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from runner.plots.objective_history import limits
from runner.plots.style import label, new_figure, styled
from runner.plots.trial_state import BEST_COLOR, STATE_COLORS

__all__ = ["intermediate_values"]

CUT_SHORT = ("pruned", "failed")


@styled
def intermediate_values(
    curves: Mapping[int, Mapping[int, float]],
    states: Sequence[str],
    best: int | None,
    name: str,
    lower_is_better: bool,
    step: str = "epoch",
    title: str | None = None,
) -> Figure:
    """Plots a line per trial; pruned trials end in a cross, and non-finite values leave a gap.

    Args:
        curves: trial → step, counted from 1 → value.
        states: of the trials, in the order of ``curves``.
        best: the trial to bring out.
        step: the unit of the horizontal axis.
    """
    fig, axes = new_figure(9.0, 4.0, title=title or f"Value after each {step}")
    ax = axes[0, 0]
    faint = float(np.clip(18 / max(len(curves), 1), 0.18, 0.75))
    for (trial, points), state in zip(curves.items(), states, strict=True):
        if not points:
            continue
        steps, values = np.array(sorted(points.items()), dtype=float).T
        values = np.where(np.isfinite(values), values, np.nan)
        color = BEST_COLOR if trial == best else STATE_COLORS[state]
        style = (
            {"linewidth": 2.2, "alpha": 1.0, "zorder": 4}
            if trial == best
            else {"linewidth": 1.0, "alpha": faint}
        )
        ax.plot(steps, values, color=color, **style)
        ends = np.flatnonzero(np.isfinite(values))
        if len(ends) and (state in CUT_SHORT or len(steps) == 1):
            mark = "x" if state in CUT_SHORT else "o"
            ax.plot(
                steps[ends[-1]], values[ends[-1]], mark, color=color, markersize=4.5, alpha=min(1, 2 * faint)
            )
    every = np.array([value for points in curves.values() for value in points.values()], dtype=float)
    low, high = limits(every, lower_is_better, spreads=10)
    if np.isfinite(low):
        ax.set_ylim(low, high)
    ax.set(xlabel=step, ylabel=label(name, 40))
    ax.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    handles = [
        Line2D([], [], color=STATE_COLORS[state], marker="x" if state in CUT_SHORT else None, label=state)
        for state in STATE_COLORS
        if any(found == state and curves[trial] for trial, found in zip(curves, states, strict=True))
    ]
    if best in curves:
        handles.append(Line2D([], [], color=BEST_COLOR, linewidth=2.2, label=f"best (trial {best})"))
    if handles:
        fig.legend(handles=handles, loc="outside lower center", ncols=5)
    return fig
