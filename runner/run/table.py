"""Rows of plain values as a text table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["flattened", "rows_as_csv"]


def rows_as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """CSV with a header and one line per row; nested values become separate columns such as ``probs.cat``."""
    text = io.StringIO()
    flat = [flattened(row) for row in rows]
    # Each row lists its most likely classes first; columns use the order of the classes instead.
    nested = [key for row in flat for key in row if key not in rows[0] and "." in key]
    plain = [key for row in flat for key in row if key not in nested]
    columns = [*dict.fromkeys(plain), *sorted(set(nested), key=natural)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``class 10`` after ``class 9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    """Nested values as columns: ``{"probs": {"cat": 0.9}}`` → ``{"probs.cat": 0.9}``."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": inner for name, inner in flattened(value).items()}
        else:
            flat[key] = value
    return flat
