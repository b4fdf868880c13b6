"""Learning rates over the steps of a run, of schedules, and of a range test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["is_piecewise_constant", "learning_rate_curve", "range_test_curve", "schedule_curves"]


@styled
def learning_rate_curve(
    rates: Mapping[str, Sequence[tuple[int, int, float]]], title: str = "Learning rate"
) -> Figure:
    """One line a parameter group, on a log scale when much of the run is spent at far smaller rates.

    Args:
        rates: name of the group → points (step, epoch, learning rate).
        title: title of the figure.
    """
    fig, axes = new_figure(7.0, 2.9, title=title)
    ax = axes[0, 0]
    seen = [np.zeros(0)]
    for name, points in rates.items():
        array = np.array(points, dtype=float).reshape(-1, 3)
        # A decay by steps holds a rate until the next one; other schedules change it with every step.
        style = "steps-post" if is_piecewise_constant(points) else "default"
        ax.plot(array[:, 0], array[:, 2], drawstyle=style, label=label(name, 30),
                marker="o" if len(array) == 1 else None)  # fmt: skip
        seen.append(array[:, 2])
    values = np.concatenate(seen)
    positive = values[np.isfinite(values) & (values > 0)]
    # A cosine only touches tiny rates at its end, and its shape is lost on a log scale; a step decay lives
    # there.
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


def is_piecewise_constant(points: Sequence[tuple[int, int, float]]) -> bool:
    """Return whether most of the logged learning rates equal the one before."""
    rates = [rate for _, _, rate in points]
    same = sum(rate == before for before, rate in pairwise(rates))
    return len(rates) > 2 and same >= (len(rates) - 1) / 2


COLUMNS = 3


@styled
def schedule_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float] | None]],
    title: str = "Learning-rate schedules",
) -> Figure:
    """A small panel a schedule: the learning rate over the steps, and momentum where the schedule moves it.

    Args:
        curves: name → learning rate and momentum at each step; None where momentum stays.
        title: title of the figure.
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


MARKERS = ("o", "s", "D", "^", "v", "P")


@styled
def range_test_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestions: Mapping[str, float],
    chosen: str | None = None,
    title: str = "Learning-rate range test",
) -> Figure:
    """Loss over learning rate on a log axis; each suggestion a mark on the smoothed curve.

    Args:
        rates: one number a step.
        losses: as ``rates``.
        smoothed: as ``rates``.
        suggestions: way of choosing → learning rate.
        chosen: the way whose rate is drawn as a line.
        title: title of the figure.
    """
    fig, axes = new_figure(7.0, 3.8, title=title)
    ax = axes[0, 0]
    x, y, smooth = (np.asarray(values, float) for values in (rates, losses, smoothed))
    ax.plot(x, y, color=MUTED, linewidth=0.8, alpha=0.5, label="loss of the step")
    ax.plot(x, smooth, color=CYCLE[0], label="smoothed")
    ax.set_xscale("log")
    if len(smooth):
        # The last points may be many times higher than all that matters.
        low, high = (
            min(smooth.min(), np.quantile(y, 0.02)),
            max(smooth[: max(1, len(smooth) // 2)].max(), y[:5].max()),
        )
        margin = 0.1 * (high - low) or 0.1
        ax.set_ylim(low - margin, high + 3 * margin)
    for position, (way, rate) in enumerate(suggestions.items()):
        height = float(np.interp(np.log(rate), np.log(x), smooth))
        ax.plot(
            [rate],
            [height],
            MARKERS[position % len(MARKERS)],
            color=CYCLE[1 + position % (len(CYCLE) - 1)],
            markersize=8,
            markeredgecolor="white",
            zorder=5,
            clip_on=False,
            label=f"{way}: {rate:.2g}",
        )
        if way == chosen:
            ax.axvline(
                rate, color=CYCLE[1 + position % (len(CYCLE) - 1)], linewidth=1, linestyle="--", zorder=1
            )
    ax.set_xlabel("learning rate")
    ax.set_ylabel("training loss")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
