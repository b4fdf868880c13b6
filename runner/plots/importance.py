"""How much of the objective's variation each parameter of a search explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["Importances", "importance_bars"]

MOST = 15


@dataclass(frozen=True)
class Importances:
    """
    Attributes:
        among: description of the evaluated trials.
        shares: name of a method → parameter → its share, of 1 in all.
    """

    among: str
    shares: Mapping[str, Mapping[str, float]]


@styled
def importance_bars(groups: Sequence[Importances], title: str = "Importance of the parameters") -> Figure:
    """A panel for each group of trials, a bar for each parameter and method, the most important on top."""
    names = [ranked(group.shares)[:MOST] for group in groups]
    heights = [0.42 * len(shown) + 0.95 for shown in names]
    fig, axes = new_figure(7.5, sum(heights) + 0.55, len(groups), 1, title, height_ratios=heights)
    for ax, group, shown in zip(axes[:, 0], groups, names, strict=True):
        draw_group(ax, group, shown)
    axes[-1, 0].set_xlabel("share of the explained variation")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return fig


def ranked(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Parameters by their mean share, the largest first."""
    total: dict[str, float] = {}
    for values in shares.values():
        for name, share in values.items():
            total[name] = total.get(name, 0.0) + share
    return sorted(total, key=lambda name: -total[name])


def draw_group(ax: Axes, group: Importances, names: Sequence[str]) -> None:
    places = np.arange(len(names), dtype=float)
    width = 0.76 / max(len(group.shares), 1)
    for order, (method, values) in enumerate(group.shares.items()):
        at = places + (order - (len(group.shares) - 1) / 2) * width
        shares = [values.get(name, 0.0) for name in names]
        ax.barh(at, shares, height=width * 0.92, color=CYCLE[order], alpha=0.88, label=method)
        for place, share in zip(at, shares, strict=True):
            text = f"{share:.2f}" if share >= 0.005 else "< 0.01"
            ax.text(share + 0.008, place, text, va="center", fontsize=7, color=MUTED)
    ax.set_yticks(places, [label(name, 36) for name in names])
    ax.set(xlim=(0, 1.08), ylim=(len(names) - 0.4, -0.6))
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.grid(axis="y", visible=False)
    ax.set_title(label(group.among, 80), fontweight="normal", fontsize=8.5, color=MUTED)
