from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from runner.report.words import Words, break_lines


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short", 9, ["short"]),
        ("optimizer.weight_decay", 12, ["optimizer.", "weight_decay"]),
        ("the learning rate", 12, ["the learning", "rate"]),
        ("see data.path=FILE", 10, ["see", "data.path="[:10], "FILE"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("a abcdefgh", 3, ["a", "abc", "def", "gh"]),
        ("", 3, [""]),
    ],
)
def test_lines_are_broken_between_parts(text: str, width: int, lines: list[str]) -> None:
    assert break_lines(text, width) == lines


@pytest.mark.parametrize("width", [45, 60, 120])
def test_cells_keep_their_text(width: int) -> None:
    table = Table("key", "text")
    table.add_row(Words("regularization.early_stopping.patience"), Words("validations without improvement"))
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, color_system=None).print(table)
    letters = "".join(c for c in file.getvalue() if c.isalpha())
    for part in ("regularization", "stopping", "patience", "validations", "improvement"):
        assert part in letters
