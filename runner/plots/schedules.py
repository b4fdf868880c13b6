"""Preview of learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["schedule_curves"]

COLUMNS = 3


@styled
def schedule_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float] | None]],
    title: str = "Learning-rate schedules",
) -> Figure:
    """A small panel a schedule: the learning rate over the steps, and momentum where the schedule moves it.

    Args:
        curves: name → learning rate and momentum at each step; None where momentum stays.
    """
    columns = min(COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    size = (8.4, 2.1 * rows + 0.5) if len(curves) > 1 else (6.0, 3.2)
    fig, axes = new_figure(*size, rows, columns, title=title)
    for ax, (name, (rates, momenta)) in zip(axes.flat, curves.items(), strict=False):
        ax.plot(rates, color=CYCLE[0])
        ax.set_ylim(bottom=0)
        ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=True)
        ax.set_xlabel("step")
        if len(curves) > 1:
            ax.set_title(label(name))
        if momenta is not None:
            other = ax.twinx()
            other.plot(momenta, color=CYCLE[1], linewidth=1, linestyle="--")
            other.set_ylim(0, 1)
            other.grid(visible=False)
            other.tick_params(labelsize=7, colors=MUTED, length=3)
            other.set_ylabel("momentum", color=CYCLE[1], fontsize=7)
    for ax in axes.flat[len(curves) :]:
        ax.set_visible(False)
    return fig
