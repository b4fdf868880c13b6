"""The curve of a learning-rate range test with its suggestions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, new_figure, styled

__all__ = ["range_test_curve"]

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
        rates, losses, smoothed: one number a step.
        suggestions: way of choosing → learning rate.
        chosen: the way whose rate is drawn as a line.
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
        ax.plot([rate], [height], MARKERS[position % len(MARKERS)], color=CYCLE[1 + position % (len(CYCLE) - 1)],
                markersize=8, markeredgecolor="white", zorder=5, clip_on=False, label=f"{way}: {rate:.2g}")  # fmt: skip
        if way == chosen:
            ax.axvline(
                rate, color=CYCLE[1 + position % (len(CYCLE) - 1)], linewidth=1, linestyle="--", zorder=1
            )
    ax.set_xlabel("learning rate")
    ax.set_ylabel("training loss")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
