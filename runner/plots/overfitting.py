"""Training against validation scores of several ways to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import SPLIT_COLORS, label, new_figure, styled

__all__ = ["overfitting_gap"]


@styled
def overfitting_gap(
    scores: Mapping[str, Sequence[tuple[float, float]]],
    title: str = "Overfitting",
    score_name: str = "accuracy",
) -> Figure:
    """A point a run for train and for validation, a line at each mean, and the gap between the means in words.

    Args:
        scores: way to train → pairs (train, validation), one a run.
    """
    fig, axes = new_figure(7.0, 3.6, title=title)
    ax = axes[0, 0]
    for position, pairs in enumerate(scores.values()):
        values = np.array(pairs, dtype=float).reshape(-1, 2)
        for column, split in enumerate(("train", "val")):
            place = position + (column - 0.5) * 0.3
            spread = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else np.zeros(len(values))
            ax.plot(place + spread, values[:, column], "o", color=SPLIT_COLORS[split], alpha=0.75, zorder=3,
                    label={"train": "train", "val": "validation"}[split] if position == 0 else None)  # fmt: skip
            mean = values[:, column].mean()
            ax.plot([place - 0.11, place + 0.11], [mean, mean], color=SPLIT_COLORS[split], linewidth=2.2)
        high, low = values.mean(0)
        ax.annotate(
            "", (position, low), (position, high), arrowprops={"arrowstyle": "<->", "color": "#6b7280"}
        )
        ax.annotate(f"{100 * (high - low):+.1f} points", (position, max(high, low)), (0, 12),
                    textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    ax.set_xticks(range(len(scores)), [label(name) for name in scores])
    ax.set_xlim(-0.6, len(scores) - 0.4)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.12 * (high - low))
    ax.grid(axis="x", visible=False)
    ax.set_ylabel(score_name)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
