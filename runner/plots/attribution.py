"""Attributions of predictions to columns, tokens and steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from runner.plots.saliency import bound_of
from runner.plots.style import CYCLE, INK, MUTED, label, new_figure, styled

__all__ = [
    "ScoredRow",
    "ScoredText",
    "ScoredWindow",
    "color_of",
    "importance_of_columns",
    "scores_of_rows",
    "step_scores",
    "token_matrix",
    "token_scores",
]

MOST = 25
MAX_IN_ROW = 12


@dataclass(frozen=True)
class ScoredRow:
    """A row with the attribution of its prediction to columns.

    Attributes:
        name: of the row.
        words: description of the prediction.
        values: attribution of each column, (F,).
        cells: content of each column as text, (F,).
    """

    name: str
    words: str
    values: np.ndarray
    cells: Sequence[str]


@styled
def importance_of_columns(
    names: Sequence[str], mean: np.ndarray, std: np.ndarray, title: str, axis: str, note: str = ""
) -> Figure:
    """A bar for each column, the most important on top, with its standard deviation; the first 25 are shown.

    Args:
        names: (F,).
        mean: (F,).
        std: as ``mean``.
        axis: what the bars count.
        note: below the title.
        title: title of the figure.
    """
    order = np.argsort(-np.asarray(mean), kind="stable")[:MOST]
    fig, axes = new_figure(7.5, 0.24 * len(order) + 1.2, title=title)
    ax = axes[0, 0]
    places = np.arange(len(order))
    ax.barh(
        places,
        np.asarray(mean)[order],
        xerr=np.asarray(std)[order],
        height=0.72,
        color=CYCLE[0],
        alpha=0.88,
        error_kw={"ecolor": MUTED, "elinewidth": 1.2, "capsize": 2},
    )
    ax.set_yticks(places, [label(names[place], 34) for place in order])
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.axvline(0, color=MUTED, linewidth=0.8)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(label(axis, 80))
    more = (
        f"{len(names) - len(order)} less important columns are not shown" if len(names) > len(order) else ""
    )
    words = "; ".join(part for part in (note, more) if part)
    ax.set_title(label(words, 100), fontweight="normal", fontsize=8.5, color=MUTED)
    return fig


@styled
def scores_of_rows(rows: Sequence[ScoredRow], names: Sequence[str], title: str, unit: str = "") -> Figure:
    """Plots a panel per row with the contributions of its columns, the largest on top; at most 12 are shown.

    Args:
        names: of the columns, (F,).
        unit: of the values.
        rows: one entry per row.
        title: title of the figure.
    """
    across = min(2, len(rows))
    high = math.ceil(len(rows) / across)
    shown = min(MAX_IN_ROW, len(names))
    fig, axes = new_figure(4.6 * across, high * (0.2 * shown + 0.65) + 0.6, high, across, title)
    for ax in list(axes.flat)[len(rows) :]:
        ax.set_visible(False)
    for place, (ax, row) in enumerate(zip(axes.flat, rows, strict=False)):
        order = np.argsort(-np.abs(row.values), kind="stable")[:shown]
        values = row.values[order]
        ax.barh(
            np.arange(shown),
            values,
            height=0.72,
            color=[CYCLE[1] if value >= 0 else CYCLE[0] for value in values],
        )
        ax.set_yticks(
            np.arange(shown), [label(f"{names[number]} = {row.cells[number]}", 30) for number in order]
        )
        ax.set_ylim(shown - 0.4, -0.6)
        ax.axvline(0, color=MUTED, linewidth=0.8)
        ax.grid(axis="y", visible=False)
        ax.set_title(label(f"{row.name}: {row.words}", 46), fontsize=9)
        if place >= len(rows) - across:
            ax.set_xlabel(label(unit, 50))
    return fig


INCHES_PER_TOKEN = 0.21


@styled
def token_matrix(
    tokens: Sequence[str], labels: Sequence[str], values: np.ndarray, title: str, unit: str = ""
) -> Figure:
    """Steps with their labels from top to bottom, tokens from left to right.

    Red for the label, blue against it.

    Args:
        tokens: (T,).
        labels: (S,).
        values: (S, T).
        unit: of the values.
        title: title of the figure.
    """
    wide = max(len(tokens) * INCHES_PER_TOKEN + 3.2, 4.5)
    fig, axes = new_figure(wide, max(len(labels) * INCHES_PER_TOKEN + 1.2, 2.2), title=title)
    ax = axes[0, 0]
    bound = bound_of(values)
    colors = ax.imshow(values, cmap="RdBu_r", vmin=-bound, vmax=bound, aspect="auto")
    ax.set_xticks(range(len(tokens)), [label(token, 12) or "·" for token in tokens], rotation=90, color=INK)
    ax.set_yticks(range(len(labels)), [label(name, 30) for name in labels], color=INK)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelsize=7)
    ax.grid(False)
    bar = fig.colorbar(colors, ax=ax, fraction=0.03, pad=0.02)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(unit, fontsize=7)
    return fig


WIDTH = 92
"""Characters of a line."""
MAX_LINES = 12
"""Of one text."""
LINE_IN, CHAR_IN = 0.19, 0.078
COLORS = "RdBu_r"


@dataclass(frozen=True)
class ScoredText:
    """A text with the attribution of its prediction to tokens.

    Attributes:
        name: of the text.
        words: description of the prediction.
        tokens: (T,).
        scores: (T,), negative for tokens that count against the prediction.
    """

    name: str
    words: str
    tokens: Sequence[str]
    scores: np.ndarray


def color_of(score: float, bound: float) -> tuple[float, float, float]:
    """Red for, blue against, white for nothing; never so dark that black letters drown."""
    share = max(-1.0, min(1.0, score / bound if bound else 0.0))
    red, green, blue, _ = matplotlib.colormaps[COLORS](0.5 + 0.36 * share)
    return red, green, blue


@styled
def token_scores(texts: Sequence[ScoredText], title: str, unit: str = "") -> Figure:
    """One text below the other, each on a scale of its own, which stands beside it.

    Args:
        unit: of the scores.
        texts: one entry per text.
        title: title of the figure.
    """
    laid = [lines_of(text.tokens) for text in texts]
    height = sum(len(lines) + 1.9 for lines in laid) + 0.2
    fig, axes = new_figure(WIDTH * CHAR_IN + 0.5, height * LINE_IN + 0.5, title=title)
    ax = axes[0, 0]
    ax.axis("off")
    ax.set(xlim=(0, WIDTH), ylim=(height, 0))
    top = 0.2
    for text, lines in zip(texts, laid, strict=True):
        bound = float(np.abs(text.scores).max()) or 1.0
        ax.text(0, top, label(text.words, 70), fontsize=8, fontweight="bold", va="top", color=INK)
        scale = f"deepest colour: {bound:.3g} {unit}".rstrip()
        ax.text(
            WIDTH, top, f"{label(text.name, 26)} · {scale}", fontsize=7, va="top", ha="right", color=MUTED
        )
        for number, line in enumerate(lines):
            draw_line(ax, line, top + 1.1 + number, text.scores, bound)
        top += len(lines) + 1.9
    return fig


def draw_line(
    ax: Axes, line: list[tuple[int, str, int]], top: float, scores: np.ndarray, bound: float
) -> None:
    for place, shown, column in line:
        if place < 0:
            ax.text(column, top + 0.45, shown, fontsize=8, va="center", color=MUTED)
            continue
        color = color_of(float(scores[place]), bound)
        ax.add_patch(Rectangle((column - 0.1, top), len(shown) + 0.2, 0.92, facecolor=color, linewidth=0))
        for offset, sign in enumerate(shown):  # each in its own column, independent of the font's width
            ax.text(column + offset + 0.5, top + 0.45, label(sign, 2), fontsize=8, family="DejaVu Sans Mono",
                    va="center", ha="center", color=INK)  # fmt: skip


def lines_of(tokens: Sequence[str]) -> list[list[tuple[int, str, int]]]:
    """Tokens put into lines: place, what is shown, column. Single signs stand close, words with a gap."""
    gap = 0 if all(len(token) <= 1 for token in tokens) else 1
    lines: list[list[tuple[int, str, int]]] = [[]]
    column = 0
    for place, token in enumerate(tokens):
        shown = visible(token)[: WIDTH - 2]
        if column + len(shown) > WIDTH:
            if len(lines) == MAX_LINES:
                lines[-1].append((-1, " …", column))
                break
            lines.append([])
            column = 0
        lines[-1].append((place, shown, column))
        column += len(shown) + gap
    return lines


def visible(token: str) -> str:
    return token.replace("\n", "⏎").replace("\t", "→").replace(" ", "·") or "∅"


NAMED_VARIABLES = 24


@dataclass(frozen=True)
class ScoredWindow:
    """A window of a series with the attribution of its prediction to steps.

    Attributes:
        name: of the window.
        words: description of the prediction.
        past: (L,) of the column that is forecast, in the unit of the data; None for a decision on all of
            them.
        forecast, truth: (H,), or None.
        values: (L, F).
    """

    name: str
    words: str
    values: np.ndarray
    past: np.ndarray | None = None
    forecast: np.ndarray | None = None
    truth: np.ndarray | None = None


@styled
def step_scores(
    windows: Sequence[ScoredWindow], variables: Sequence[str], title: str, unit: str = "", ends: bool = True
) -> Figure:
    """Of each window a column.

    The series with its forecast, the sum over the variables at each step, and below, of several variables,
    each of them.

    Args:
        variables: names of the F columns.
        unit: of the values.
        ends: steps are counted back from the last one.
        title: title of the figure.
        windows: one entry per window.
    """
    several = len(variables) > 1
    has_past = windows[0].past is not None
    parts = [has_past, True, several]
    map_in = max(0.9, 0.17 * len(variables)) if len(variables) <= NAMED_VARIABLES else 2.6
    heights = [high for high, there in zip((1.5, 1.2, map_in), parts, strict=True) if there]
    fig, axes = new_figure(
        4.6 * len(windows) + (0.6 if several else 0),
        sum(heights) + 0.4 * len(heights) + 0.6,
        len(heights),
        len(windows),
        title,
        height_ratios=heights,
        sharex="col",
    )
    for column, window in enumerate(windows):
        length = len(window.values)
        steps = np.arange(1 - length, 1) if ends else np.arange(1, length + 1)
        rows = iter(axes[:, column])
        axes[0, column].set_title(f"{label(window.name, 52)}\n{label(window.words, 58)}", fontsize=9)
        if has_past:
            draw_series(next(rows), window, steps)
        total = window.values.sum(1)
        ax = next(rows)
        ax.bar(steps, total, width=0.9, color=np.where(total >= 0, CYCLE[1], CYCLE[0]))
        ax.axhline(0, color=MUTED, linewidth=0.8)
        if column == 0:
            ax.set_ylabel(label(unit or "attribution", 30))
        if several:
            ax = next(rows)
            bound = bound_of(window.values)
            edges = (steps[0] - 0.5, steps[-1] + 0.5, len(variables) - 0.5, -0.5)
            colors = ax.imshow(
                window.values.T,
                cmap="RdBu_r",
                vmin=-bound,
                vmax=bound,
                aspect="auto",
                extent=edges,
                interpolation="nearest",
            )
            ax.grid(False)
            few = len(variables) <= NAMED_VARIABLES
            ax.set_yticks(
                range(len(variables)) if few else [], [label(name, 18) for name in variables] if few else []
            )
            bar = fig.colorbar(colors, ax=ax, fraction=0.05, pad=0.02)
            bar.ax.tick_params(labelsize=6)
        last = steps[-1] + (0 if window.forecast is None else len(window.forecast))
        ax.set_xlim(steps[0] - 0.6, last + 0.6)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        ax.set_xlabel("steps after the last input" if ends else "step")
    return fig


def draw_series(ax: Axes, window: ScoredWindow, steps: np.ndarray) -> None:
    if window.past is not None:
        ax.plot(steps, window.past, color=MUTED, linewidth=1.2, label="read")
    if window.forecast is not None:
        ahead = np.arange(1, len(window.forecast) + 1)
        if window.truth is not None:
            ax.plot(
                ahead,
                window.truth,
                color=INK,
                linewidth=1.2,
                label="truth",
                marker="." if len(ahead) == 1 else None,
            )
        ax.plot(
            ahead, window.forecast, color=CYCLE[0], label="forecast", marker="." if len(ahead) == 1 else None
        )
        ax.axvline(0.5, color=MUTED, linestyle=":", linewidth=1)
        ax.legend(loc="upper left", ncols=3, fontsize=7, borderaxespad=0.1)
