"""Figures for sequences: attention maps, decoded texts and lengths."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, INK, MUTED, SPLIT_COLORS, label, new_figure, styled

__all__ = ["accuracy_by_length", "attention_maps", "length_histogram", "translations"]

INCHES_PER_TOKEN = 0.2


@styled
def attention_maps(
    maps: Sequence[tuple[list[str], list[str], np.ndarray]], title: str = "Attention"
) -> Figure:
    """Plots one attention map per sequence.

    Generated tokens from top to bottom, source tokens from left to right, darker for higher attention.

    Args:
        maps: source tokens (S), generated tokens (T) and attention ``(T, S)`` of each sequence.
        title: title of the figure.
    """
    cols = min(2, len(maps))
    rows = math.ceil(len(maps) / cols)
    wide = max(len(source) for source, _, _ in maps) * INCHES_PER_TOKEN + 1.3
    high = max(len(output) for _, output, _ in maps) * INCHES_PER_TOKEN + 1.2
    fig, axes = new_figure(max(cols * wide, 4.0), rows * high + 0.4, rows, cols, title=title)
    for ax in axes.flat[len(maps) :]:
        ax.axis("off")
    for ax, (source, output, attention) in zip(axes.flat, maps, strict=False):
        ax.imshow(attention, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.set_xticks(range(len(source)), [label(token, 12) for token in source], rotation=90, color=INK)
        ax.set_yticks(range(len(output)), [label(token, 12) for token in output], color=INK)
        ax.xaxis.tick_top()
        ax.tick_params(length=0, labelsize=7)
        ax.grid(False)
    return fig


WIDTH = 92
COLORS = {"source": MUTED, "reference": CYCLE[2], "greedy": CYCLE[0], "beam": CYCLE[0]}


@styled
def translations(samples: Sequence[dict[str, str]], title: str = "Translations") -> Figure:
    """One text below the other.

    Args:
        samples: kind of text → text: ``source``, ``reference``, ``greedy``, ``beam``.
        title: title of the figure.
    """
    blocks = [
        [(kind, textwrap.wrap(label(text, 2 * WIDTH - 10), WIDTH) or ["–"]) for kind, text in sample.items()]
        for sample in samples
    ]
    height = sum(sum(len(lines) for _, lines in block) + 0.8 for block in blocks)
    fig, axes = new_figure(8.0, 0.6 + 0.165 * height, title=title)
    ax = axes[0, 0]
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(height, 0))
    top = 0.2
    for block in blocks:
        for kind, lines in block:
            ax.text(0, top, kind, color=COLORS.get(kind, INK), fontsize=8, fontweight="bold", va="top")
            ax.text(0.12, top, "\n".join(lines), color=INK, fontsize=8, va="top", linespacing=1.2)
            top += len(lines)
        top += 0.8
    return fig


NUM_BINS = 12


@styled
def length_histogram(
    lengths: dict[str, np.ndarray], limit: int | None = None, title: str = "Lengths"
) -> Figure:
    """Share of the sequences of each split by their number of steps.

    Args:
        lengths: sequence lengths of each split, ``(N,)``.
        limit: maximum length, to which longer sequences are truncated.
        title: title of the figure.
    """
    fig, axes = new_figure(6.0, 3.2, title=title)
    ax = axes[0, 0]
    longest = max(int(values.max()) for values in lengths.values() if len(values))
    bins = np.linspace(0.5, longest + 0.5, min(longest, 40) + 1)
    for split, values in lengths.items():
        if len(values):
            weights = np.full(len(values), 1 / len(values))
            ax.hist(
                values,
                bins,
                weights=weights,
                histtype="step",
                linewidth=1.6,
                color=SPLIT_COLORS.get(split),
                label=f"{split}: median {np.median(values):.0f}, longest {values.max()}",
            )
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
        title: title of the figure.
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
