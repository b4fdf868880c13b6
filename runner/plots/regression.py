"""Predicted against true values, and residuals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["regression_panels"]

DENSE = 3000


@styled
def regression_panels(
    preds: np.ndarray,
    targets: np.ndarray,
    target_names: Sequence[str] | None = None,
    title: str = "Predictions and residuals",
) -> Figure:
    """Three panels a target: predicted against true, residual against predicted, histogram of residuals.

    Args:
        preds: (N,) or (N, D). Pairs that are not finite are left out and counted.
        targets: as ``preds``.
        target_names: (D,) names for the axes.
        title: title of the figure.
    """
    preds, targets = (np.asarray(values, dtype=float) for values in (preds, targets))
    preds, targets = (values[:, None] if values.ndim == 1 else values for values in (preds, targets))
    num_targets = targets.shape[1]
    fig, axes = new_figure(11.5, 3.7 * num_targets, num_targets, 3, title)
    for i in range(num_targets):
        name = (
            label(target_names[i], 24)
            if target_names is not None
            else f"target {i}"
            if num_targets > 1
            else "target"
        )
        known = np.isfinite(preds[:, i]) & np.isfinite(targets[:, i])
        pred, true = preds[known, i], targets[known, i]
        left_out = int((~known).sum())
        _draw_identity(axes[i, 0], pred, true, name, left_out)
        _draw_residuals(axes[i, 1], pred, pred - true, name)
        _draw_histogram(axes[i, 2], pred - true)
    return fig


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


def _draw_identity(ax: Axes, pred: np.ndarray, true: np.ndarray, name: str, left_out: int) -> None:
    _scatter(ax, true, pred)
    if len(pred):
        low, high = min(pred.min(), true.min()), max(pred.max(), true.max())
        margin = 0.04 * (high - low) or 1.0
        ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
        ax.plot([low, high], [low, high], color=MUTED, linestyle="--", linewidth=1)
        spread = ((true - true.mean()) ** 2).sum()
        r2 = f"R² {1 - ((pred - true) ** 2).sum() / spread:.3f}" if spread > 0 else "R² undefined"
        note = f"   ({left_out} not finite)" if left_out else ""
        ax.set_title(f"{r2}   RMSE {_number(np.sqrt(((pred - true) ** 2).mean()))}{note}")
    ax.set_aspect("equal", adjustable="box")
    ax.set(xlabel=f"true {name}", ylabel=f"predicted {name}")


def _draw_residuals(ax: Axes, pred: np.ndarray, residuals: np.ndarray, name: str) -> None:
    _scatter(ax, pred, residuals)
    ax.axhline(0, color=MUTED, linestyle="--", linewidth=1)
    ax.set_title("Residual against prediction")
    ax.set(xlabel=f"predicted {name}", ylabel="predicted − true")


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
        ax.legend(loc="upper right")
    ax.axvline(0, color=MUTED, linestyle="--", linewidth=1)
    ax.set_title("Residuals")
    ax.set(xlabel="predicted − true", ylabel="count")
    ax.xaxis.set_major_locator(MaxNLocator(5))
