"""The learning rate over the steps of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import label, new_figure, styled

__all__ = ["learning_rate_curve"]


@styled
def learning_rate_curve(
    rates: Mapping[str, Sequence[tuple[int, int, float]]], title: str = "Learning rate"
) -> Figure:
    """One line a parameter group, on a log scale when much of the run is spent at far smaller rates.

    Args:
        rates: name of the group → points (step, epoch, learning rate).
    """
    fig, axes = new_figure(7.0, 2.9, title=title)
    ax = axes[0, 0]
    seen = [np.zeros(0)]
    for name, points in rates.items():
        array = np.array(points, dtype=float).reshape(-1, 3)
        # A rate holds until the next one is set, which a slanted line between two far points would hide.
        style = "steps-post" if len(array) < 60 else "default"
        ax.plot(array[:, 0], array[:, 2], drawstyle=style, label=label(name, 30),
                marker="o" if len(array) == 1 else None)  # fmt: skip
        seen.append(array[:, 2])
    values = np.concatenate(seen)
    positive = values[np.isfinite(values) & (values > 0)]
    # A cosine only touches tiny rates at its end, and its shape is lost on a log scale; a step decay lives there.
    if len(positive) and positive.max() > 100 * np.quantile(positive, 0.1):
        ax.set_yscale("log")
        ax.set_ylim(bottom=max(positive.min(), positive.max() * 1e-6) / 2)
    else:
        ax.set_ylim(bottom=0)
        ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=True)
    ax.set_xlabel("step")
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    if len(rates) > 1:
        ax.legend(loc="best")
    return fig
