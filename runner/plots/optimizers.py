"""The curves of several optimizers on one problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, label, new_figure, styled

__all__ = ["optimizer_curves"]

STYLES = ("-", "--", ":")


@styled
def optimizer_curves(
    metrics: Mapping[str, Mapping[str, Sequence[tuple[int, int, float]]]],
    title: str = "Optimizers on one problem",
) -> Figure:
    """Training and validation loss over the steps, side by side on one log axis; the same colours in both.

    Args:
        metrics: optimizer → metric → points (step, epoch, value).
    """
    fig, axes = new_figure(8.4, 3.4, cols=2, title=title, sharey=True)
    for ax, key in zip(axes[0], ("train/loss", "val/loss"), strict=True):
        for position, (name, of_run) in enumerate(metrics.items()):
            points = np.array(of_run.get(key, ()), dtype=float).reshape(-1, 3)
            style = STYLES[position // len(CYCLE) % len(STYLES)]
            ax.plot(points[:, 0], points[:, 2], style, color=CYCLE[position % len(CYCLE)], label=label(name))
        ax.set_yscale("log")
        ax.set_xlabel("step")
        ax.set_title({"train/loss": "training loss", "val/loss": "validation loss"}[key])
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
