"""Distribution of sequence lengths, and accuracy by length."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, SPLIT_COLORS, new_figure, styled

__all__ = ["accuracy_by_length", "length_histogram"]

NUM_BINS = 12


@styled
def length_histogram(
    lengths: dict[str, np.ndarray], limit: int | None = None, title: str = "Lengths"
) -> Figure:
    """Share of the sequences of each split by their number of steps.

    Args:
        lengths: sequence lengths of each split, ``(N,)``.
        limit: maximum length, to which longer sequences are truncated.
    """
    fig, axes = new_figure(6.0, 3.2, title=title)
    ax = axes[0, 0]
    longest = max(int(values.max()) for values in lengths.values() if len(values))
    bins = np.linspace(0.5, longest + 0.5, min(longest, 40) + 1)
    for split, values in lengths.items():
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            ax.hist(values, bins, weights=weights, histtype="step", linewidth=1.6, color=SPLIT_COLORS.get(split),
                    label=f"{split}: median {np.median(values):.0f}, longest {values.max()}")  # fmt: skip
    if limit is not None and longest >= limit:
        ax.axvline(limit, color=MUTED, linestyle=":", linewidth=1.2, label=f"cut at {limit}")
    ax.set(xlabel="steps", ylabel="share of sequences", xlim=(0, longest + 1))
    ax.legend()
    return fig


@styled
def accuracy_by_length(lengths: np.ndarray, right: np.ndarray, title: str = "Accuracy by length") -> Figure:
    """Plots the mean fraction of correct steps over sequence length, with the number of sequences.

    Args:
        lengths: ``(N,)`` steps.
        right: ``(N,)``, 0 to 1.
    """
    fig, axes = new_figure(6.0, 3.2, title=title)
    ax = axes[0, 0]
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, NUM_BINS + 1)).round().astype(int))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0] + 1])
    places = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, len(edges) - 2)
    for place in range(len(edges) - 1):
        values = right[places == place]
        if len(values):
            name = f"{edges[place]}–{edges[place + 1] - (place < len(edges) - 2)}"
            ax.bar(name, values.mean(), color=CYCLE[0], width=0.7)
            ax.text(
                name,
                values.mean(),
                f"{values.mean():.3f}\nn={len(values)}",
                ha="center",
                va="bottom",
                fontsize=7,
            )
    ax.set(xlabel="steps", ylabel="share of right steps", ylim=(0, 1.18), yticks=np.linspace(0, 1, 6))
    ax.tick_params(axis="x", labelsize=7)
    ax.grid(axis="x", visible=False)
    return fig
