"""The objective of a search against each parameter by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.objective_history import limits
from runner.plots.parameter import Parameter
from runner.plots.style import INK, label, new_figure, styled
from runner.plots.trial_state import BEST_COLOR, draw_points, mark_failed

__all__ = ["parameter_slices"]

JITTER = 0.22


@styled
def parameter_slices(
    parameters: Sequence[Parameter],
    values: np.ndarray,
    states: Sequence[str],
    name: str,
    lower_is_better: bool,
    title: str = "Objective against each parameter",
) -> Figure:
    """A panel a parameter, a point a trial that has it, the best trial as a star.

    Args:
        values, states: (N,) as for the history of the objective.
    """
    values = np.asarray(values, dtype=float)
    cols = {1: 1, 2: 2, 4: 2}.get(len(parameters), 3)
    rows = math.ceil(len(parameters) / cols)
    fig, axes = new_figure({1: 6.0, 2: 8.5, 3: 11.5}[cols], 2.9 * rows + 0.75, rows, cols, title, sharey=True)
    low, high = limits(values, lower_is_better)
    complete = np.where(np.array(states, dtype=object) == "complete", values, np.nan)
    for place, (ax, parameter) in enumerate(zip(axes.flat, parameters, strict=False)):
        x = jittered(parameter)
        parameter.set_axis(ax)
        draw_points(ax, x, np.clip(values, low, high), states, size=20)
        if np.isfinite(complete).any():
            best = int(np.nanargmin(complete) if lower_is_better else np.nanargmax(complete))
            ax.plot(x[best], values[best], "*", color=BEST_COLOR, markersize=12, markeredgecolor="white", label="best",
                    zorder=4)  # fmt: skip
        mark_failed(ax, x, states)
        draw_medians(ax, parameter, complete)
        if np.isfinite(low):
            ax.set_ylim(low, high)
        if parameter.choices is None and not parameter.log:
            ax.xaxis.set_major_locator(MaxNLocator(5, min_n_ticks=1))
        if place % cols == 0:
            ax.set_ylabel(label(name, 30))
    for ax in list(axes.flat)[len(parameters) :]:
        ax.set_visible(False)
    legend = {}
    for ax in axes.flat:
        legend |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if legend:
        fig.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=len(legend))
    return fig


def jittered(parameter: Parameter) -> np.ndarray:
    """(N,) positions; points of one choice lie beside each other."""
    x = parameter.positions().copy()
    if parameter.choices is not None:
        for place in range(len(parameter.choices)):
            same = np.flatnonzero(x == place)
            # A sequence that never lumps, and is the same for the same trials.
            x[same] += JITTER * (2 * ((np.arange(len(same)) * 0.618034 + 0.5) % 1.0) - 1)
    return x


def draw_medians(ax, parameter: Parameter, complete: np.ndarray) -> None:
    """A dash at the median of each choice's complete trials."""
    if parameter.choices is None:
        return
    places = parameter.positions()
    for place in range(len(parameter.choices)):
        found = complete[(places == place) & np.isfinite(complete)]
        if len(found) >= 2:
            ax.hlines(np.median(found), place - 0.32, place + 0.32, color=INK, linewidth=1.4, zorder=4,
                      label="median of complete")  # fmt: skip
