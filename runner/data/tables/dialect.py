"""Detection of a table file's encoding, separator and ``sep=`` line (written by Excel)."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from runner.data.encoding import decoding_error, find_encoding
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = ["Dialect", "find_dialect", "first_cells", "open_table"]

SEPARATORS = ",;\t|"
SUFFIXES = {".csv", ".tsv", ".txt", ".data", ".gz"}
HEAD_BYTES = 1 << 16
SEPARATOR_LINE = re.compile(r'"?sep=(\\t|.)"?\s*$', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """The text format of a table file.

    Attributes:
        encoding: name of Python's codec.
        separator: separator of the cells.
        num_skipped_lines: number of lines before the table: 1 if the file begins with Excel's ``sep=;``.
        head: the first lines of the table that are not empty.
    """

    encoding: str
    separator: str
    num_skipped_lines: int
    head: tuple[str, ...]


def find_dialect(
    path: str | Path,
    separator: str | None = None,
    separators: str = SEPARATORS,
    encoding: str | None = None,
) -> Dialect:
    """Detect the dialect from the beginning of a file.

    Args:
        path: the file, plain or ``.gz``.
        separator: the separator if it is known; takes precedence over a ``sep=`` line.
        separators: candidates, the preferred one first.
        encoding: the encoding of the text; see ``find_encoding``.

    Raises:
        DataError: no such file, empty, or not text in this encoding.
    """
    path = Path(path).expanduser()
    head, is_whole = read_head(path)
    encoding = find_encoding(head, path, encoding, "a table as text (CSV)")
    lines = decode(head, encoding, is_whole, path)
    stated = SEPARATOR_LINE.match(lines[0]) if lines else None
    skipped = 1 if stated else 0
    lines = [line for line in lines[skipped:] if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty; expected a header line and rows.")
    separator = (
        separator or (stated and stated.group(1).replace("\\t", "\t")) or find_separator(lines, separators)
    )
    return Dialect(encoding, separator, skipped, tuple(lines))


def open_table(
    path: str | Path, separator: str | None = None, encoding: str | None = None
) -> tuple[TextIO, str]:
    """Open a table file as text, after a ``sep=`` line if there is one.

    Returns:
        The open file and the separator of its cells.

    Raises:
        DataError: see ``find_dialect``.
    """
    path = Path(path).expanduser()
    dialect = find_dialect(path, separator, encoding=encoding)
    opener = gzip.open if path.suffix == ".gz" else open
    file = io.TextIOWrapper(opener(path, "rb"), encoding=dialect.encoding, newline="")
    for _ in range(dialect.num_skipped_lines):
        file.readline()
    return file, dialect.separator


def first_cells(
    path: str | Path, separator: str | None = None, encoding: str | None = None
) -> tuple[str, list[str]]:
    """Return the separator and the cells of the first line."""
    dialect = find_dialect(path, separator, encoding=encoding)
    reader = csv.reader(dialect.head[:1], delimiter=dialect.separator, skipinitialspace=True)
    return dialect.separator, next(reader)


def read_head(path: Path) -> tuple[bytes, bool]:
    """Return the first bytes of a file, and whether they are the whole file."""
    if not path.is_file():
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"There is no file {path}, and no folder {folder}.")
        tables = sorted(entry.name for entry in folder.iterdir() if entry.suffix in SUFFIXES)
        hint = (
            did_you_mean(path.name, tables, dotted=False)
            if tables
            else f"{folder.absolute()} holds no table."
        )
        raise DataError(f"There is no file {path}. {hint}")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    return head, len(head) < HEAD_BYTES


def decode(head: bytes, encoding: str, is_whole: bool, path: Path) -> list[str]:
    """Return the complete lines of the decoded bytes."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=is_whole)
    except UnicodeDecodeError as error:
        raise decoding_error(path, encoding, error) from error
    if not is_whole:
        text = text[: text.rfind("\n") + 1] or text
    return text.splitlines()


def find_separator(lines: Sequence[str], separators: str = SEPARATORS) -> str:
    """Return the separator that splits the first lines into the same number of cells, and into most cells."""

    def fitness(separator: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines[:20], delimiter=separator, skipinitialspace=True)]
        return len(set(widths)) == 1 and widths[0] > 1, widths[0]

    return max(separators, key=fitness)
