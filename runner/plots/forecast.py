"""Windows of a series with their forecast, and the error over the horizon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, INK, MUTED, label, new_figure, styled

__all__ = ["error_by_horizon", "forecast_panels"]

PAST_A_HORIZON = 3
"""The drawn part of the input window, as a multiple of the horizon."""

Window = tuple[str, np.ndarray, np.ndarray | None, np.ndarray, np.ndarray | None]


@styled
def forecast_panels(windows: Sequence[Window], unit: str = "", title: str = "Forecasts") -> Figure:
    """One panel a window.

    Args:
        windows: name, past ``(L,)``, truth ``(H,)`` or None, forecast ``(H,)``, naive forecast ``(H,)`` or
            None.
        unit: what the values are, beside the axis.
        title: title of the figure.
    """
    cols = min(3, max(1, len(windows)))
    rows = max(1, math.ceil(len(windows) / cols))
    fig, axes = new_figure(4.2 * cols, 2.5 * rows + 0.7, rows, cols, title)
    for place, (ax, window) in enumerate(zip(axes.flat, windows, strict=False)):
        name, past, truth, preds, naive = window
        horizon = len(preds)
        shown = past[-max(PAST_A_HORIZON * horizon, 24) :]
        steps = np.arange(1, horizon + 1)
        ax.plot(np.arange(1 - len(shown), 1), shown, color=MUTED, linewidth=1.2, label="read")
        marker = "o" if horizon == 1 else None
        if truth is not None:
            joined = np.concatenate([shown[-1:], truth])
            ax.plot(np.arange(horizon + 1), joined, color=INK, linewidth=1.2, label="truth", marker=marker)
        if naive is not None:
            ax.plot(
                steps,
                naive,
                color=CYCLE[5],
                linewidth=1.2,
                linestyle="--",
                label="seasonal naive",
                marker=marker,
            )
        ax.plot(steps, preds, color=CYCLE[0], label="forecast", marker=marker)
        ax.axvline(0, color=MUTED, linestyle=":", linewidth=1)
        ax.set_title(label(name, 40))
        if place % cols == 0 and unit:
            ax.set_ylabel(label(unit, 24))
        if place // cols == rows - 1:
            ax.set_xlabel("steps after the last input")
    for ax in list(axes.flat)[len(windows) :]:
        ax.set_visible(False)
    handles, names = axes.flat[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=4)
    return fig


@styled
def error_by_horizon(errors: Mapping[str, np.ndarray], title: str = "Error of each step") -> Figure:
    """One line a forecast.

    Args:
        errors: name → root mean squared error of each step of the horizon, ``(H,)``, standardised.
        title: title of the figure.
    """
    fig, axes = new_figure(6.5, 3.6, title=title)
    ax = axes[0, 0]
    for (name, values), color in zip(errors.items(), (CYCLE[0], CYCLE[5], *CYCLE[1:5]), strict=False):
        ax.plot(np.arange(1, len(values) + 1), values, color=color, label=name, marker="o", markersize=3)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("steps ahead")
    ax.set_ylabel("RMSE (in standard deviations)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="best")
    return fig
