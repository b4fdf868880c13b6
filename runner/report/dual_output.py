"""Something to print that has two faces: a rich one for a terminal, plain lines for everything else."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

__all__ = ["Shown", "aligned"]


class Shown:
    """Printed by any rich console; ``str()`` gives the plain lines.

    Args:
        face: what a terminal shows.
        lines: what a file, a pipe or a dumb terminal gets: no boxes, no colours, no value cut off.
    """

    def __init__(self, face: RenderableType, lines: Sequence[str]):
        self.face = face
        self.lines = [line.rstrip() for line in lines]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.is_terminal and not console.is_dumb_terminal:
            yield self.face
        else:
            # A line longer than the console is folded, since rich would cut it.
            yield Text(str(self), no_wrap=options.no_wrap, overflow="ignore" if options.no_wrap else "fold")


def aligned(rows: Sequence[Sequence[str]], gap: str = "  ") -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*rows, strict=True)]
    return [
        gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
