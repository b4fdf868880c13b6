"""Texts with tokens colored by their attribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from runner.plots.style import INK, MUTED, label, new_figure, styled

__all__ = ["ScoredText", "color_of", "token_scores"]

WIDTH = 92
"""Characters of a line."""
MAX_LINES = 12
"""Of one text."""
LINE_IN, CHAR_IN = 0.19, 0.078
COLORS = "RdBu_r"


@dataclass(frozen=True)
class ScoredText:
    """
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
    return tuple(matplotlib.colormaps[COLORS](0.5 + 0.36 * share)[:3])


@styled
def token_scores(texts: Sequence[ScoredText], title: str, unit: str = "") -> Figure:
    """One text below the other, each on a scale of its own, which stands beside it.

    Args:
        unit: of the scores.
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
