"""The console that verbs print on, and the tables they print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

    from runner.report.dual_output import Shown

__all__ = ["console", "hush_libraries", "table"]


def console() -> Console:
    """Colours and the terminal's width on a terminal; lines that nobody cuts elsewhere."""
    from rich.console import Console

    made = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    made.on_broken_pipe = _reader_has_left  # rich's own way ends with exit code 1
    return made


def _reader_has_left() -> NoReturn:
    raise BrokenPipeError


def table(*headers: str, rows: Sequence[Sequence[str]], title: str | None = None) -> Shown:
    """A table on a terminal, aligned lines elsewhere; the text of cells is taken as it is, without markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from runner.report.dual_output import Shown, aligned

    face = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for name in headers:
        face.add_column(name, overflow="fold")
    for row in rows:
        face.add_row(*(Text(cell) for cell in row))
    lines = [f"{title}:"] if title else []
    return Shown(face, [*lines, *aligned([headers, *rows]), ""])


def hush_libraries() -> None:
    """Keeps the advice that Lightning gives to programmers from those who only want an answer."""
    import logging
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|torch")
