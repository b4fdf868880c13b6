"""Similarity of explanations to those of the trained model as its weights are randomized."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["sanity_curve"]


@styled
def sanity_curve(layers: Sequence[str], mean: np.ndarray, std: np.ndarray, title: str) -> Figure:
    """Plots the rank correlation after each randomized layer, from the output to the input.

    Args:
        layers: (L,).
        mean, std: over the samples, (L,).
    """
    names = ["trained", *layers]
    mean, std = np.concatenate([[1.0], mean]), np.concatenate([[0.0], std])
    fig, axes = new_figure(max(4.5, 0.36 * len(names) + 1.5), 3.2, title=title)
    ax = axes[0, 0]
    places = np.arange(len(names))
    ax.fill_between(places, mean - std, mean + std, color=CYCLE[0], alpha=0.2, linewidth=0)
    ax.plot(places, mean, color=CYCLE[0], marker="o")
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.set_xticks(
        places, [label(name, 22) for name in names], rotation=60, ha="right", rotation_mode="anchor"
    )
    ax.set(ylim=(min(-0.3, float((mean - std).min()) - 0.05), 1.05), ylabel="rank correlation")
    ax.set_xlabel("randomised up to here")
    return fig
