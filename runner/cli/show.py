"""The console that verbs print on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["console", "table"]

PLAIN_WIDTH = 200  # a file or a pipe has no width; rich would cut its lines at 80


def console() -> Console:
    """Colours and the terminal's width on a terminal; plain lines elsewhere."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(file=sys.stdout, width=width, highlight=False)


def table(*headers: str, title: str | None = None, rows: list[tuple] = ()) -> Table:
    """A plain table; the text of cells is taken as it is, without markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    made = Table(
        *headers, box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False
    )
    for row in rows:
        made.add_row(*(cell if not isinstance(cell, str) else Text(cell) for cell in row))
    return made
