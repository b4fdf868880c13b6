"""Trials of a sweep over time.

Optuna 5.0's plots (`optuna.visualization.matplotlib`) are experimental and show no workers or attempts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = [
    "BEST_COLOR",
    "STATE_COLORS",
    "assign_lanes",
    "best_so_far",
    "draw_points",
    "intermediate_values",
    "mark_failed",
    "objective_history",
    "worker_timeline",
]

STATE_COLORS = {
    "complete": CYCLE[0],
    "pruned": CYCLE[5],
    "failed": "#b91c1c",
    "lost": CYCLE[3],
    "running": MUTED,
}
BEST_COLOR = CYCLE[1]


def draw_points(ax: Axes, x: np.ndarray, y: np.ndarray, states: Sequence[str], size: float = 22) -> None:
    """A full point for each complete trial, a hollow one for a pruned or running one.

    Failed ones are left out.
    """
    kinds = np.array(states)
    for state in ("pruned", "running", "complete"):
        chosen = (kinds == state) & np.isfinite(x) & np.isfinite(y)
        if not chosen.any():
            continue
        color = STATE_COLORS[state]
        face = color if state == "complete" else "none"
        ax.scatter(
            x[chosen],
            y[chosen],
            s=size,
            facecolors=face,
            edgecolors=color,
            linewidths=0.9,
            alpha=0.85,
            label=state,
            zorder=3,
        )


def mark_failed(ax: Axes, x: np.ndarray, states: Sequence[str]) -> None:
    """A cross at the foot of the axes for each trial that failed: it has no value to stand at."""
    chosen = (np.array(states) == "failed") & np.isfinite(x)
    if chosen.any():
        ax.plot(x[chosen], np.full(chosen.sum(), 0.03), "x", color=STATE_COLORS["failed"], markersize=5.5,
                transform=ax.get_xaxis_transform(), label="failed", clip_on=False, zorder=3)  # fmt: skip


def best_so_far(values: np.ndarray, states: Sequence[str], lower_is_better: bool) -> np.ndarray:
    """(N,) the best value of a complete trial up to each trial; NaN before there is one."""
    counted = np.where((np.array(states, dtype=object) == "complete") & np.isfinite(values), values, np.nan)
    worst = np.inf if lower_is_better else -np.inf
    filled = np.where(np.isnan(counted), worst, counted)
    running = (np.minimum if lower_is_better else np.maximum).accumulate(filled)
    return np.where(np.isinf(running), np.nan, running)


@styled
def objective_history(
    numbers: Sequence[int],
    values: np.ndarray,
    states: Sequence[str],
    name: str,
    lower_is_better: bool,
    title: str = "Objective of each trial",
) -> Figure:
    """Plots a point per trial, and the best value so far as a line with a star where it was reached.

    The axis shows the better part of the values whole; values far on the bad side are drawn at its edge, as
    arrows.

    Args:
        numbers: (N,) of each trial; a pruned trial has its last reported value; NaN if none.
            States: complete, pruned, failed, running.
        values: as ``numbers``.
        states: as ``numbers``.
        lower_is_better: whether lower values are better.
        name: name of the objective.
        title: title of the figure.
    """
    at, values = np.asarray(numbers, dtype=float), np.asarray(values, dtype=float)
    fig, axes = new_figure(9.0, 3.8, title=title)
    ax = axes[0, 0]
    low, high = limits(values, lower_is_better)
    beyond = (values > high) if lower_is_better else (values < low)
    draw_points(ax, at, np.where(beyond, np.nan, values), states)
    best = best_so_far(values, states, lower_is_better)
    known = np.isfinite(best)
    if known.any():
        ax.plot(
            at[known],
            best[known],
            drawstyle="steps-post",
            color=BEST_COLOR,
            label="best so far",
            zorder=2,
        )
        first = int(np.flatnonzero(best == best[known][-1])[0])
        ax.plot(at[first], best[first], "*", color=BEST_COLOR, markersize=13, markeredgecolor="white",
                label=f"best: {best[first]:.4g} in trial {int(at[first])}", zorder=4)  # fmt: skip
    if np.isfinite(low) and np.isfinite(high):
        ax.set_ylim(low, high)
        draw_beyond(ax, at[beyond], lower_is_better)
    mark_failed(ax, at, states)
    ax.set(xlabel="trial", ylabel=label(name, 40))
    ax.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    ax.margins(x=0.03)
    if ax.get_legend_handles_labels()[0]:
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return fig


def limits(values: np.ndarray, lower_is_better: bool, spreads: float = 3) -> tuple[float, float]:
    """Limits of the axis.

    Outliers on the bad side, beyond a multiple of the spread of the rest, are cut off.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.nan, np.nan
    quarter, middle, three = np.percentile(finite, [25, 50, 75])
    reach = spreads * max(three - quarter, 0.02 * abs(middle), 1e-12)
    low, high = finite.min(), finite.max()
    if lower_is_better:
        high = min(high, three + reach)
    else:
        low = max(low, quarter - reach)
    margin = 0.07 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def draw_beyond(ax: Axes, numbers: np.ndarray, lower_is_better: bool) -> None:
    if len(numbers):
        ax.plot(
            numbers,
            np.full(len(numbers), 0.97 if lower_is_better else 0.03),
            "^" if lower_is_better else "v",
            color=BEST_COLOR,
            alpha=0.6,
            markersize=5,
            transform=ax.get_xaxis_transform(),
            label="far beyond the axis",
            clip_on=False,
        )


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
        lower_is_better: whether lower values are better.
        name: name of the objective.
        title: title of the figure.
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


UNITS = (("s", 1.0, 300.0), ("min", 60.0, 4 * 3600.0), ("h", 3600.0, 4 * 86400.0), ("d", 86400.0, np.inf))


def assign_lanes(
    starts: Sequence[float], ends: Sequence[float], owners: Sequence[str]
) -> list[tuple[str, int]]:
    """Gives each span a lane of its owner, so that no two of a lane overlap; as few lanes as can be."""
    free_at: dict[str, list[float]] = {}
    lanes: list[tuple[str, int]] = [("", 0)] * len(starts)
    for i in np.argsort(starts, kind="stable"):
        own = free_at.setdefault(owners[i], [])
        lane = next((n for n, until in enumerate(own) if until <= starts[i] + 1e-6), len(own))
        own[lane : lane + 1] = [ends[i]]
        lanes[i] = (owners[i], lane)
    return lanes


@styled
def worker_timeline(
    numbers: Sequence[int],
    starts: Sequence[float],
    ends: Sequence[float],
    states: Sequence[str],
    workers: Sequence[str],
    title: str = "Who did what when",
) -> Figure:
    """A row a worker, a bar an attempt at a trial, the trial's number in it where there is room.

    Args:
        numbers: (N,) the trial of each attempt.
        starts: (N,) seconds since the epoch.
        ends: as ``starts``.
        states: (N,) how it ended: complete, pruned, failed, lost, or running.
        workers: (N,) names. Where attempts of one name overlap, it gets several rows.
        title: title of the figure.
    """
    lanes = assign_lanes(starts, ends, workers)
    rows = {lane: row for row, lane in enumerate(sorted(set(lanes)))}
    first, last = min(starts, default=0.0), max(ends, default=1.0)
    unit, size, _ = next(entry for entry in UNITS if last - first <= entry[2])
    fig, axes = new_figure(10.0, float(np.clip(0.34 * len(rows), 0.5, 9)) + 1.5, title=title)
    ax = axes[0, 0]
    whole = max((last - first) / size, 1e-9)
    for number, start, end, state, lane in zip(numbers, starts, ends, states, lanes, strict=True):
        left, width = (start - first) / size, max((end - start) / size, whole / 400)
        ax.barh(
            rows[lane],
            width,
            left=left,
            height=0.78,
            color=STATE_COLORS[state],
            edgecolor="white",
            linewidth=0.6,
        )
        if width > 0.011 * len(str(number)) * whole:
            ax.text(
                left + width / 2, rows[lane], str(number), ha="center", va="center", fontsize=7, color="white"
            )
    names = [
        label(f"{worker or 'worker'} · {lane + 1}" if (worker, 1) in rows else worker, 32)
        for worker, lane in rows
    ]
    ax.set_yticks(range(len(rows)), names)
    ax.set(
        xlim=(0, whole * 1.01), ylim=(len(rows) - 0.45, -0.55), xlabel=f"{unit} since the first trial began"
    )
    ax.grid(axis="y", visible=False)
    shown = [state for state in STATE_COLORS if state in states]
    patches = [Patch(color=STATE_COLORS[state], label=state) for state in shown]
    if patches:
        fig.legend(handles=patches, loc="outside lower center", ncols=len(patches))
    return fig
