"""Timeline of the trials run by each worker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from runner.plots.style import label, new_figure, styled
from runner.plots.trial_state import STATE_COLORS

__all__ = ["assign_lanes", "worker_timeline"]

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
        starts, ends: (N,) seconds since the epoch.
        states: (N,) how it ended: complete, pruned, failed, lost, or running.
        workers: (N,) names. Where attempts of one name overlap, it gets several rows.
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
