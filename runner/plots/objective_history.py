"""The objective of a search from trial to trial, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import label, new_figure, styled
from runner.plots.trial_state import BEST_COLOR, draw_points, mark_failed

__all__ = ["best_so_far", "objective_history"]


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

    The axis shows the better part of the values whole; values far on the bad side are drawn at its edge, as arrows.

    Args:
        numbers, values, states: (N,) of each trial; a pruned trial has its last reported value; NaN if none.
            States: complete, pruned, failed, running.
    """
    numbers, values = np.asarray(numbers, dtype=float), np.asarray(values, dtype=float)
    fig, axes = new_figure(9.0, 3.8, title=title)
    ax = axes[0, 0]
    low, high = limits(values, lower_is_better)
    beyond = (values > high) if lower_is_better else (values < low)
    draw_points(ax, numbers, np.where(beyond, np.nan, values), states)
    best = best_so_far(values, states, lower_is_better)
    known = np.isfinite(best)
    if known.any():
        ax.plot(
            numbers[known],
            best[known],
            drawstyle="steps-post",
            color=BEST_COLOR,
            label="best so far",
            zorder=2,
        )
        first = int(np.flatnonzero(best == best[known][-1])[0])
        ax.plot(numbers[first], best[first], "*", color=BEST_COLOR, markersize=13, markeredgecolor="white",
                label=f"best: {best[first]:.4g} in trial {int(numbers[first])}", zorder=4)  # fmt: skip
    if np.isfinite(low) and np.isfinite(high):
        ax.set_ylim(low, high)
        draw_beyond(ax, numbers[beyond], lower_is_better)
    mark_failed(ax, numbers, states)
    ax.set(xlabel="trial", ylabel=label(name, 40))
    ax.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    ax.margins(x=0.03)
    if ax.get_legend_handles_labels()[0]:
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return fig


def limits(values: np.ndarray, lower_is_better: bool, spreads: float = 3) -> tuple[float, float]:
    """Limits of the axis: outliers on the bad side, beyond a multiple of the spread of the rest, are cut off."""
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


def draw_beyond(ax, numbers: np.ndarray, lower_is_better: bool) -> None:
    if len(numbers):
        ax.plot(numbers, np.full(len(numbers), 0.97 if lower_is_better else 0.03), "^" if lower_is_better else "v",
                color=BEST_COLOR, alpha=0.6, markersize=5, transform=ax.get_xaxis_transform(),
                label="far beyond the axis", clip_on=False)  # fmt: skip
