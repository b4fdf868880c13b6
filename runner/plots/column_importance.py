"""Importance of table columns for a model, overall and for single rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["ScoredRow", "importance_of_columns", "scores_of_rows"]

MOST = 25
MAX_IN_ROW = 12


@dataclass(frozen=True)
class ScoredRow:
    """
    Attributes:
        name: of the row.
        words: description of the prediction.
        values: attribution of each column, (F,).
        cells: content of each column as text, (F,).
    """

    name: str
    words: str
    values: np.ndarray
    cells: Sequence[str]


@styled
def importance_of_columns(
    names: Sequence[str], mean: np.ndarray, std: np.ndarray, title: str, axis: str, note: str = ""
) -> Figure:
    """A bar for each column, the most important on top, with its standard deviation; the first 25 are shown.

    Args:
        names: (F,).
        mean, std: (F,).
        axis: what the bars count.
        note: below the title.
    """
    order = np.argsort(-np.asarray(mean), kind="stable")[:MOST]
    fig, axes = new_figure(7.5, 0.24 * len(order) + 1.2, title=title)
    ax = axes[0, 0]
    places = np.arange(len(order))
    ax.barh(places, np.asarray(mean)[order], xerr=np.asarray(std)[order], height=0.72, color=CYCLE[0], alpha=0.88,
            error_kw={"ecolor": MUTED, "elinewidth": 1.2, "capsize": 2})  # fmt: skip
    ax.set_yticks(places, [label(names[place], 34) for place in order])
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(label(axis, 80))
    more = (
        f"{len(names) - len(order)} less important columns are not shown" if len(names) > len(order) else ""
    )
    words = "; ".join(part for part in (note, more) if part)
    ax.set_title(label(words, 100), fontweight="normal", fontsize=8.5, color=MUTED)
    return fig


@styled
def scores_of_rows(rows: Sequence[ScoredRow], names: Sequence[str], title: str, unit: str = "") -> Figure:
    """Plots a panel per row with the contributions of its columns, the largest on top; at most 12 are shown.

    Args:
        names: of the columns, (F,).
        unit: of the values.
    """
    across = min(2, len(rows))
    high = math.ceil(len(rows) / across)
    shown = min(MAX_IN_ROW, len(names))
    fig, axes = new_figure(4.6 * across, high * (0.2 * shown + 0.65) + 0.6, high, across, title)
    for ax in list(axes.flat)[len(rows) :]:
        ax.set_visible(False)
    for place, (ax, row) in enumerate(zip(axes.flat, rows, strict=False)):
        order = np.argsort(-np.abs(row.values), kind="stable")[:shown]
        values = row.values[order]
        ax.barh(
            np.arange(shown),
            values,
            height=0.72,
            color=[CYCLE[1] if value >= 0 else CYCLE[0] for value in values],
        )
        ax.set_yticks(
            np.arange(shown), [label(f"{names[number]} = {row.cells[number]}", 30) for number in order]
        )
        ax.set_ylim(shown - 0.4, -0.6)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        ax.grid(axis="y", visible=False)
        ax.set_title(label(f"{row.name}: {row.words}", 46), fontsize=9)
        if place >= len(rows) - across:
            ax.set_xlabel(label(unit, 50))
    return fig
