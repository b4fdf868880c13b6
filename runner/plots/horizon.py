"""Forecast error over the horizon."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, new_figure, styled

__all__ = ["error_by_horizon"]


@styled
def error_by_horizon(errors: Mapping[str, np.ndarray], title: str = "Error of each step") -> Figure:
    """One line a forecast.

    Args:
        errors: name → root mean squared error of each step of the horizon, ``(H,)``, standardised.
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
