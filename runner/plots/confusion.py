"""Confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from runner.plots.style import INK, MUTED, class_labels, new_figure, styled

__all__ = ["confusion_matrix", "count_confusion"]

MAX_CELLS_WITH_TEXT = 20
MAX_LABELLED_CLASSES = 60
NUM_WORST_PAIRS = 12


def count_confusion(targets: np.ndarray, preds: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts (K, K), row = truth, column = prediction, from class numbers (N,) and (N,)."""
    targets, preds = np.asarray(targets, dtype=np.int64), np.asarray(preds, dtype=np.int64)
    flat = np.bincount(targets * num_classes + preds, minlength=num_classes * num_classes)
    return flat.reshape(num_classes, num_classes)


@styled
def confusion_matrix(
    counts: np.ndarray,
    class_names: Sequence[str] | None = None,
    title: str = "Confusion matrix",
    cells: Literal["counts", "shares"] = "counts",
) -> Figure:
    """Colour shows the share of each true class (rows sum to 1), text the counts.

    With more than 20 classes the text no longer fits: the pairs confused most often are listed beside it.

    Args:
        counts: (K, K), row = truth, column = prediction.
        cells: ``shares`` writes percentages instead, where counts would be long (pixels).
        class_names: names of the classes, in the order of their ids.
        title: title of the figure.
    """
    counts = np.asarray(counts)
    num_classes = len(counts)
    with_text = num_classes <= MAX_CELLS_WITH_TEXT
    side = min(2.8 + 0.32 * num_classes, 9.0) if with_text else 8.0
    cols, ratios = (1, [1]) if with_text else (2, [2.6, 1])
    of_names = 0.065 * max(len(name) for name in class_labels(class_names, num_classes, 20))
    width = max(side + of_names + (0.9 if with_text else 3.4), 5.0)
    fig, axes = new_figure(width, side, 1, cols, title, gridspec_kw={"width_ratios": ratios})
    _draw_matrix(fig, axes[0, 0], counts, class_names, with_text)
    if with_text and cells == "counts":
        _write_counts(axes[0, 0], counts)
    elif with_text:
        _write_shares(axes[0, 0], counts)
    if not with_text:
        _list_worst_pairs(axes[0, 1], counts, class_labels(class_names, num_classes, 16))
    return fig


def _draw_matrix(
    fig: Figure, ax: Axes, counts: np.ndarray, class_names: Sequence[str] | None, with_text: bool
) -> None:
    num_classes = len(counts)
    shares = _shares(counts)
    # A square-root scale keeps the few errors of a good model visible.
    image = ax.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    names = class_labels(class_names, num_classes, 20 if num_classes <= 30 else 12)
    every = 1 if num_classes <= MAX_LABELLED_CLASSES else int(np.ceil(num_classes / 50))
    ticks = np.arange(0, num_classes, every)
    size = 8 if num_classes <= 20 else 6 if num_classes <= 40 else 5
    upright = max(len(name) for name in names) <= (3 if num_classes > 4 else 12) and num_classes <= 30
    ax.set_xticks(ticks, [names[i] for i in ticks], fontsize=size, rotation=0 if upright else 90)
    ax.set_yticks(ticks, [names[i] for i in ticks], fontsize=size)
    ax.set_xlabel("prediction")
    ax.set_ylabel("truth")
    ax.grid(False)
    if num_classes <= MAX_LABELLED_CLASSES:
        ax.set_xticks(np.arange(num_classes + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(num_classes + 1) - 0.5, minor=True)
        ax.grid(True, which="minor", color="white", linewidth=1.0 if with_text else 0.4)
        ax.tick_params(which="minor", length=0)
    bar = fig.colorbar(image, ax=ax, fraction=0.04, pad=0.02, ticks=[0, 0.01, 0.05, 0.2, 0.5, 1])
    bar.set_label("share of the true class", fontsize=8)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7)


def _shares(counts: np.ndarray) -> np.ndarray:
    """Of each true class: rows sum to 1."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def _write_counts(ax: Axes, counts: np.ndarray) -> None:
    """Counts in all cells that are not zero, and the share below where the cells are large enough."""
    num_classes, shares = len(counts), _shares(counts)
    size = 10 if num_classes <= 4 else 8 if num_classes <= 12 else 6
    if counts.max() >= 10_000 and num_classes > 6:
        size -= 2
    for row, col in np.argwhere(counts > 0):
        share = shares[row, col]
        text = f"{counts[row, col]}"
        if num_classes <= 6:
            text += f"\n{share:.1%}"
        _write_cell(ax, row, col, text, share, size)


def _write_shares(ax: Axes, counts: np.ndarray) -> None:
    """Percentages in all cells that are not too small to see."""
    shares = _shares(counts)
    size = 9 if len(counts) <= 6 else 7 if len(counts) <= 12 else 5.5
    for row, col in np.argwhere(shares >= 0.0005):
        percent = 100 * shares[row, col]
        _write_cell(
            ax, row, col, f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.1f}%", shares[row, col], size
        )


def _write_cell(ax: Axes, row: int, col: int, text: str, share: float, size: float) -> None:
    ax.text(col, row, text, ha="center", va="center", fontsize=size, color="white" if share > 0.4 else INK)


def _list_worst_pairs(ax: Axes, counts: np.ndarray, names: list[str]) -> None:
    """The confusions that happen most often, as lines of text."""
    ax.axis("off")
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:NUM_WORST_PAIRS]
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    ax.text(0, 0.97, f"{accuracy:.1%} right of {counts.sum():,}", va="top", fontsize=9)
    ax.text(0, 0.91, "most often confused", va="top", fontsize=9, fontweight="bold")
    for place, flat in enumerate(order):
        row, col = divmod(int(flat), len(counts))
        if wrong[row, col] == 0:
            break
        y = 0.86 - 0.062 * place
        ax.text(0, y, f"{names[row]} → {names[col]}", va="top", fontsize=8)
        share = wrong[row, col] / counts[row].sum()
        ax.text(
            0,
            y - 0.026,
            f"{wrong[row, col]:,} times, {share:.0%} of its class",
            va="top",
            fontsize=7,
            color=MUTED,
        )
