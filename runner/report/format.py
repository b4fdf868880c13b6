"""Numbers, durations and aligned columns as text."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import zip_longest
from textwrap import wrap

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from runner.report.words import escaped

__all__ = ["Shown", "aligned", "count", "duration", "moment", "number", "with_std", "wrapped"]


class Shown:
    """Output with two forms, printed by any rich console; ``str()`` returns the plain lines.

    Args:
        rich_form: form for a terminal.
        lines: form for files, pipes and dumb terminals: no boxes or colours, and no value is truncated.
    """

    def __init__(self, rich_form: RenderableType, lines: Sequence[str]) -> None:
        self.rich_form = rich_form
        self.lines = [line.rstrip() for line in lines]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.is_terminal and not console.is_dumb_terminal:
            yield self.rich_form
        else:
            # Lines longer than the console are folded, because rich would truncate them.
            yield Text(str(self), no_wrap=options.no_wrap, overflow="ignore" if options.no_wrap else "fold")


def aligned(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Return rows of cells as lines, with each column as wide as its widest cell.

    Args:
        rows: the cells; all rows have the same length.
        gap: text between columns.
    """
    rows = [[escaped(cell) for cell in row] for row in rows]
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*rows, strict=True)]
    return [
        gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def wrapped(rows: Sequence[Sequence[str]], width: int, gap: str = "  ") -> list[str]:
    """Return rows of cells as aligned lines of limited width; cells are wrapped between words.

    Args:
        rows: the cells; all rows have the same length. The first column is not wrapped.
        width: maximum length of a line, in which all columns but the first share the space by their widths.
        gap: text between columns.
    """
    rows = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    space = width - widths[0] - len(gap) * (len(widths) - 1)
    total = sum(widths[1:])
    if total <= space:
        return aligned(rows, gap)
    limits = [widths[0], *(max(space * wide // total, 12) for wide in widths[1:])]
    lines: list[list[str]] = []
    for row in rows:
        cells = [
            wrap(cell, limit, break_long_words=False, break_on_hyphens=False) or [""]
            for cell, limit in zip(row, limits, strict=True)
        ]
        lines += [list(line) for line in zip_longest(*cells, fillvalue="")]
    return aligned(lines, gap)


def number(value: object) -> str:
    """Format a metric with about four digits: ``0.9712``, ``53.21``, ``12,345``, ``1.2e-05``, ``nan``."""
    if isinstance(value, bool) or value is None or not isinstance(value, (int, float)):
        return "-" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    size = abs(value)
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if size < 1e-3 or size >= 1e9:
        return f"{value:.2e}"
    return f"{value:.4f}" if size < 10 else f"{value:.2f}" if size < 1000 else f"{value:,.0f}"


def with_std(mean: float | None, std: float | None) -> str:
    """Format a mean and its standard deviation: ``0.9712 ± 0.0043``."""
    if mean is None or std is None:
        return number(mean)
    shown = number(mean)
    decimals = len(shown.partition(".")[2])
    return f"{shown} ± {number(std) if 'e' in shown else f'{std:,.{decimals}f}'}"


def count(value: int) -> str:
    """Format a count with three digits: ``950``, ``21.3 M``."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def duration(seconds: float) -> str:
    """Format a duration: ``0.4 s``, ``12 s``, ``1 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(whole / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def moment(seconds_since_epoch: float) -> str:
    """Format a time as ``2026-11-21 10:04``, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds_since_epoch))
