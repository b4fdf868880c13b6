"""Predicted against true values, and what is left over."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["plot_predicted_true", "plot_residuals"]

DENSE = 3000


@styled
def plot_predicted_true(
    targets: np.ndarray, preds: np.ndarray, name: str = "target", title: str = "Predicted against true"
) -> Figure:
    """Every sample at (true, predicted), with the line where both are equal.

    Args:
        targets, preds: (N,). Pairs that are not finite are left out and counted.
        name: what the number is, for the axes.
    """
    true, pred, left_out = _finite_pairs(targets, preds)
    fig, axes = new_figure(5.0, 5.0, title=title)
    ax = axes[0, 0]
    _scatter(ax, true, pred)
    if len(pred):
        low, high = min(pred.min(), true.min()), max(pred.max(), true.max())
        margin = 0.04 * (high - low) or 1.0
        ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
        ax.plot([low, high], [low, high], color=MUTED, linestyle="--", linewidth=1)
        squares = (pred - true) ** 2
        spread = ((true - true.mean()) ** 2).sum()
        r2 = f"R² {1 - squares.sum() / spread:.3f}" if spread > 0 else "R² undefined"
        note = f"   ({left_out} not finite)" if left_out else ""
        ax.set_title(f"{r2}   RMSE {_number(np.sqrt(squares.mean()))}{note}", fontweight="normal", fontsize=9)
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlabel=f"true {label(name, 40)}", ylabel=f"predicted {label(name, 40)}")
    return fig


@styled
def plot_residuals(
    targets: np.ndarray, preds: np.ndarray, name: str = "target", title: str = "Residuals"
) -> Figure:
    """Predicted − true: against the prediction on the left, as a histogram on the right.

    Args:
        targets, preds: (N,). Pairs that are not finite are left out.
        name: what the number is, for the axes.
    """
    true, pred, _ = _finite_pairs(targets, preds)
    fig, axes = new_figure(8.6, 3.9, 1, 2, title, gridspec_kw={"width_ratios": [1.35, 1]})
    left, right = axes[0]
    _scatter(left, pred, pred - true)
    left.axhline(0, color=MUTED, linestyle="--", linewidth=1)
    left.set(xlabel=f"predicted {label(name, 40)}", ylabel="predicted − true")
    _draw_histogram(right, pred - true)
    return fig


def _finite_pairs(targets: np.ndarray, preds: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """True and predicted values that are finite, and how many pairs are not."""
    true, pred = (np.asarray(values, dtype=float).reshape(-1) for values in (targets, preds))
    known = np.isfinite(true) & np.isfinite(pred)
    return true[known], pred[known], int((~known).sum())


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e8 else f"{value:.4g}"


def _scatter(ax: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Points, or counts in hexagons where points would cover each other."""
    if len(x) > DENSE:
        ax.hexbin(x, y, gridsize=50, cmap="Blues", bins="log", mincnt=1, linewidths=0.1)
    else:
        size = 16 if len(x) < 500 else 6
        ax.scatter(x, y, s=size, alpha=0.55, color=CYCLE[0], linewidths=0)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(6))


def _draw_histogram(ax: Axes, residuals: np.ndarray) -> None:
    if len(residuals):
        mean = residuals.mean()
        low, high = residuals.min(), residuals.max()
        if high - low < 1e-6 * max(
            abs(low), abs(high)
        ):  # equal but for rounding: too narrow to cut into bins
            margin = 0.05 * max(abs(low), abs(high)) or 1.0
            low, high = low - margin, high + margin
        bins = int(np.clip(np.sqrt(len(residuals)), 8, 60))
        ax.hist(residuals, bins=bins, range=(low, high), color=CYCLE[0], alpha=0.85)
        ax.axvline(mean, color=CYCLE[1], linewidth=1.2, label=f"mean {_number(mean)}")
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    ax.axvline(0, color=MUTED, linestyle="--", linewidth=1)
    ax.set(xlabel="predicted − true", ylabel="count")
    ax.xaxis.set_major_locator(MaxNLocator(5))
