"""The console and tables for the output of verbs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from rich.console import Console

    from runner.report.dual_output import Shown

__all__ = ["console", "hush_libraries", "table"]


def console() -> Console:
    """Return a console with colours and line wrapping on a terminal, and neither elsewhere."""
    from rich.console import Console

    output = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    output.on_broken_pipe = _raise_broken_pipe  # rich would exit with code 1
    return output


def _raise_broken_pipe() -> NoReturn:
    raise BrokenPipeError


def table(*headers: str, rows: Sequence[Sequence[str]], title: str | None = None) -> Shown:
    """Return a table on a terminal and aligned lines elsewhere. Cells are plain text without markup."""
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
    """Silences hints and warnings of Lightning and torch that are meant for developers."""
    import logging
    import warnings

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning|torch")
