"""Rank correlation between parameters and objectives of a search."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import INK, MUTED, label, new_figure, styled

__all__ = ["correlate_ranks", "rank_correlation"]

FEWEST = 4
"""Minimum number of pairs for a correlation."""


def correlate_ranks(columns: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each pair of columns, over the rows that have both.

    Args:
        columns: ``(N, K)``, NaN for missing values.

    Returns:
        (K, K); NaN with fewer than four common rows, or where one column is constant in them.
    """
    num = columns.shape[1]
    found = np.full((num, num), np.nan)
    for i in range(num):
        for j in range(num):
            both = np.isfinite(columns[:, i]) & np.isfinite(columns[:, j])
            if both.sum() < FEWEST:
                continue
            a, b = ranks(columns[both, i]), ranks(columns[both, j])
            if a.std() > 0 and b.std() > 0:
                found[i, j] = float(np.corrcoef(a, b)[0, 1])
    return found


def ranks(values: np.ndarray) -> np.ndarray:
    """(N,) from 0; equal values share the mean of their places."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[which]


@styled
def rank_correlation(
    columns: Mapping[str, np.ndarray], num_objectives: int, title: str = "Rank correlation (Spearman)"
) -> Figure:
    """Plots the matrix of all pairs; a dash marks pairs with too few common trials or a constant column.

    Args:
        columns: name → (N,) values of the trials, NaN where there is none; the objectives first.
        num_objectives: number of first columns, separated by a line.
    """
    names = list(columns)
    matrix = correlate_ranks(np.stack([np.asarray(columns[name], dtype=float) for name in names], axis=1))
    size = float(np.clip(0.62 * len(names), 2.2, 9.5))
    fig, axes = new_figure(size + 3.4, size + 1.7, title=title)
    ax = axes[0, 0]
    shown = ax.imshow(np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    ax.grid(False)
    words = [label(name, 26) for name in names]
    ax.set_xticks(range(len(names)), words, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), words)
    for spine in ax.spines.values():
        spine.set_visible(False)
    for i in range(len(names)):
        for j in range(len(names)):
            value = matrix[i, j]
            text = "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
            color = MUTED if np.isnan(value) else "white" if abs(value) > 0.6 else INK
            ax.text(j, i, text, ha="center", va="center", fontsize=7.5, color=color)
    if 0 < num_objectives < len(names):
        for line in (ax.axhline, ax.axvline):
            line(num_objectives - 0.5, color=INK, linewidth=1.2)
    bar = fig.colorbar(shown, ax=ax, fraction=0.04, pad=0.03, ticks=[-1, 0, 1])
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)
    bar.outline.set_visible(False)
    return fig
