"""Parameters of a sweep against its objective.

Optuna 5.0's slice and importance plots are experimental and show no conditional spaces or rank correlation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, INK, MUTED, label, new_figure, styled
from runner.plots.trials import BEST_COLOR, draw_points, limits, mark_failed

__all__ = [
    "Importances",
    "Parameter",
    "correlate_ranks",
    "importance_bars",
    "parameter_slices",
    "rank_correlation",
]

MAX_CHOICES_SHOWN = 12


@dataclass(frozen=True)
class Parameter:
    """The values of one search parameter.

    Attributes:
        name: such as ``optimizer.lr``.
        values: (N,) one a trial; None where a trial has no such parameter.
        choices: of a categorical parameter, as they are written; None for a number.
        log: whether the parameter is sampled on a logarithmic scale.
    """

    name: str
    values: Sequence[Any]
    choices: Sequence[str] | None = None
    log: bool = False

    @property
    def present(self) -> np.ndarray:
        """(N,) bool: which trials have it."""
        return np.array([value is not None for value in self.values], dtype=bool)

    def positions(self) -> np.ndarray:
        """(N,) float, NaN where a trial has no such parameter.

        The number itself, or the place of the choice.
        """
        if self.choices is None:
            return np.array([math.nan if value is None else float(value) for value in self.values])
        places = {choice: float(place) for place, choice in enumerate(self.choices)}
        return np.array([math.nan if value is None else places[str(value)] for value in self.values])

    def heights(self) -> np.ndarray:
        """(N,) positions on an axis of length 1, on which a logarithmic parameter is spread evenly."""
        at = np.log10(self.positions()) if self.log else self.positions()
        low, high = self._ends(at)
        return (at - low) / (high - low) if high > low else np.where(np.isnan(at), math.nan, 0.5)

    def ticks(self) -> list[tuple[float, str]]:
        """(height, text) of the choices, or of both ends and the middle of a number."""
        if self.choices is not None:
            last = max(len(self.choices) - 1, 1)
            step = math.ceil(len(self.choices) / MAX_CHOICES_SHOWN)
            at = [0.5] if len(self.choices) == 1 else [place / last for place in range(len(self.choices))]
            return [(at[i], label(self.choices[i], 16)) for i in range(0, len(self.choices), step)]
        known = np.log10(self.positions()) if self.log else self.positions()
        low, high = self._ends(known)
        if not high > low:
            return [(0.5, number(10**low if self.log else low))]
        whole = all(float(v).is_integer() for v in self.values if v is not None) and not self.log
        heights = (0.0, 1.0) if whole and high - low == 1 else (0.0, 0.5, 1.0)
        return [(h, number(self._back(low + h * (high - low)))) for h in heights]

    def set_axis(self, ax: Axes) -> None:
        """Prepares the x axis of ``ax`` for this parameter."""
        if self.choices is not None:
            longest = max(len(choice) for choice in self.choices)
            slanted = longest * len(self.choices) > 22
            shown = [label(choice, 18) for choice in self.choices]
            ax.set_xticks(
                range(len(shown)), shown, rotation=30 if slanted else 0, ha="right" if slanted else "center"
            )
            ax.set_xlim(-0.6, len(shown) - 0.4)
        elif self.log:
            ax.set_xscale("log")
        ax.set_xlabel(label(self.name, 34))

    def _back(self, value: float) -> float:
        return 10**value if self.log else value

    def _ends(self, known: np.ndarray) -> tuple[float, float]:
        if self.choices is not None:
            return 0.0, float(len(self.choices) - 1)
        finite = known[np.isfinite(known)]
        return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def number(value: float) -> str:
    """In three digits, as short as can be: ``0.001``, ``2.5e-05``, ``128``."""
    return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.4g}"


JITTER = 0.22


@styled
def parameter_slices(
    parameters: Sequence[Parameter],
    values: np.ndarray,
    states: Sequence[str],
    name: str,
    lower_is_better: bool,
    title: str = "Objective against each parameter",
) -> Figure:
    """A panel a parameter, a point a trial that has it, the best trial as a star.

    Args:
        values: (N,) as for the history of the objective.
        states: as ``values``.
        lower_is_better: whether lower values are better.
        name: name of the objective.
        parameters: values of each parameter.
        title: title of the figure.
    """
    values = np.asarray(values, dtype=float)
    cols = {1: 1, 2: 2, 4: 2}.get(len(parameters), 3)
    rows = math.ceil(len(parameters) / cols)
    fig, axes = new_figure({1: 6.0, 2: 8.5, 3: 11.5}[cols], 2.9 * rows + 0.75, rows, cols, title, sharey=True)
    low, high = limits(values, lower_is_better)
    complete = np.where(np.array(states, dtype=object) == "complete", values, np.nan)
    for place, (ax, parameter) in enumerate(zip(axes.flat, parameters, strict=False)):
        x = jittered(parameter)
        parameter.set_axis(ax)
        draw_points(ax, x, np.clip(values, low, high), states, size=20)
        if np.isfinite(complete).any():
            best = int(np.nanargmin(complete) if lower_is_better else np.nanargmax(complete))
            ax.plot(
                x[best],
                values[best],
                "*",
                color=BEST_COLOR,
                markersize=12,
                markeredgecolor="white",
                label="best",
                zorder=4,
            )
        mark_failed(ax, x, states)
        draw_medians(ax, parameter, complete)
        if np.isfinite(low):
            ax.set_ylim(low, high)
        if parameter.choices is None and not parameter.log:
            ax.xaxis.set_major_locator(MaxNLocator(5, min_n_ticks=1))
        if place % cols == 0:
            ax.set_ylabel(label(name, 30))
    for ax in list(axes.flat)[len(parameters) :]:
        ax.set_visible(False)
    legend: dict[str, Artist] = {}
    for ax in axes.flat:
        handles, labels = ax.get_legend_handles_labels()
        legend |= dict(zip(labels, handles, strict=True))
    if legend:
        fig.legend(list(legend.values()), list(legend), loc="outside lower center", ncols=len(legend))
    return fig


def jittered(parameter: Parameter) -> np.ndarray:
    """(N,) positions; points of one choice lie beside each other."""
    x = parameter.positions().copy()
    if parameter.choices is not None:
        for place in range(len(parameter.choices)):
            same = np.flatnonzero(x == place)
            # A sequence that never lumps, and is the same for the same trials.
            x[same] += JITTER * (2 * ((np.arange(len(same)) * 0.618034 + 0.5) % 1.0) - 1)
    return x


def draw_medians(ax: Axes, parameter: Parameter, complete: np.ndarray) -> None:
    """A dash at the median of each choice's complete trials."""
    if parameter.choices is None:
        return
    places = parameter.positions()
    for place in range(len(parameter.choices)):
        found = complete[(places == place) & np.isfinite(complete)]
        if len(found) >= 2:
            ax.hlines(np.median(found), place - 0.32, place + 0.32, color=INK, linewidth=1.4, zorder=4,
                      label="median of complete")  # fmt: skip


MOST = 15


@dataclass(frozen=True)
class Importances:
    """The share of each parameter in the variation of the objective.

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


FEWEST = 4
"""Minimum number of pairs for a correlation."""


def correlate_ranks(columns: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each pair of columns, over the rows that have both.

    Args:
        columns: ``(N, K)``, NaN for missing values.

    Returns:
        (K, K); NaN with fewer than four common rows, or where one column is constant in them.
    """
    num = columns.shape[1]
    found = np.full((num, num), np.nan)
    for i in range(num):
        for j in range(num):
            both = np.isfinite(columns[:, i]) & np.isfinite(columns[:, j])
            if both.sum() < FEWEST:
                continue
            a, b = ranks(columns[both, i]), ranks(columns[both, j])
            if a.std() > 0 and b.std() > 0:
                found[i, j] = float(np.corrcoef(a, b)[0, 1])
    return found


def ranks(values: np.ndarray) -> np.ndarray:
    """(N,) from 0; equal values share the mean of their places."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[which]


@styled
def rank_correlation(
    columns: Mapping[str, np.ndarray], num_objectives: int, title: str = "Rank correlation (Spearman)"
) -> Figure:
    """Plots the matrix of all pairs; a dash marks pairs with too few common trials or a constant column.

    Args:
        columns: name → (N,) values of the trials, NaN where there is none; the objectives first.
        num_objectives: number of first columns, separated by a line.
        title: title of the figure.
    """
    names = list(columns)
    matrix = correlate_ranks(np.stack([np.asarray(columns[name], dtype=float) for name in names], axis=1))
    size = float(np.clip(0.62 * len(names), 2.2, 9.5))
    fig, axes = new_figure(size + 3.4, size + 1.7, title=title)
    ax = axes[0, 0]
    shown = ax.imshow(np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    ax.grid(False)
    words = [label(name, 26) for name in names]
    ax.set_xticks(range(len(names)), words, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), words)
    for spine in ax.spines.values():
        spine.set_visible(False)
    for i in range(len(names)):
        for j in range(len(names)):
            value = matrix[i, j]
            text = "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
            color = MUTED if np.isnan(value) else "white" if abs(value) > 0.6 else INK
            ax.text(j, i, text, ha="center", va="center", fontsize=7.5, color=color)
    if 0 < num_objectives < len(names):
        for line in (ax.axhline, ax.axvline):
            line(num_objectives - 0.5, color=INK, linewidth=1.2)
    bar = fig.colorbar(shown, ax=ax, fraction=0.04, pad=0.03, ticks=[-1, 0, 1])
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)
    bar.outline.set_visible(False)
    return fig
