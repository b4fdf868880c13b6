"""Texts with labels, as files hold them."""

from __future__ import annotations

import csv
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.data.class_folders import scan_class_folders
from runner.data.dropped import DroppedSamples
from runner.data.encoding import decoding_error, find_encoding
from runner.data.labels import find_label, merge_spellings
from runner.data.tables.dialect import find_dialect
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = [
    "Texts",
    "is_file",
    "number_labels",
    "read_csv",
    "read_folder",
    "read_text",
    "text_columns",
    "text_lines",
]


def number_labels(
    labels: Iterable[str], known: Sequence[str], title: str, order: Callable[[str], Any] | None = None
) -> tuple[list[str], dict[str, int]]:
    """The class names, and the class id of each spelling (see ``runner.data.labels``).

    Args:
        known: the class names of a trained run; empty for a new one.
        title: of the data, for messages.
        order: sort key of the names of a new run.

    Raises:
        DataError: labels that the trained run does not know.
    """
    spellings = merge_spellings(labels)
    if not known:
        names = sorted(set(spellings.values()), key=order)
        return names, {spelling: names.index(name) for spelling, name in spellings.items()}
    numbers = {spelling: find_label(spelling, known) for spelling in spellings}
    if unknown := sorted(spelling for spelling, number in numbers.items() if number is None):
        raise DataError(f"{title} has labels that the run was not trained on: {', '.join(unknown)}.")
    return list(known), numbers


SEPARATORS = "\t,;|"
HEAD_BYTES = 1 << 16
csv.field_size_limit(1 << 30)


@dataclass
class Texts:
    """Texts and their classes.

    Attributes:
        labels: the label of each.
        parts: the split each belongs to, where the files name one; otherwise empty.
        names: the file of each, where each has its own; otherwise empty.
        groups: the value of each in the column of groups, if there is one; otherwise empty.
        left_out: by reason, the rows or files that are not used.
    """

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def add(
        self,
        text: str,
        label: str,
        part: str | None = None,
        name: str | None = None,
        group: str | None = None,
        row: str | None = None,
    ) -> None:
        """
        Args:
            row: where the text is, for messages; ``name`` if None.
        """
        if not text.strip() or not label.strip():
            reason = "no text" if not text.strip() else "no label"
            self.left_out.setdefault(reason, []).append(row or name or "")
            return
        self.texts.append(text)
        self.labels.append(label.strip())
        for kept, value in ((self.parts, part), (self.names, name), (self.groups, group)):
            if value is not None:
                kept.append(value)

    def report(self, dropped: DroppedSamples, what: str, where: str) -> None:
        """Counts what is left out."""
        total = len(self.texts) + sum(map(len, self.left_out.values()))
        for reason, places in self.left_out.items():
            dropped.add(what, len(places), reason, total, where, filter(None, places))

    def keep(self, indices: Sequence[int]) -> None:
        """Keeps only these texts."""
        for name in ("texts", "labels", "parts", "names", "groups"):
            if values := getattr(self, name):
                setattr(self, name, [values[index] for index in indices])


def open_bytes(path: Path):
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")


def read_text(path: Path, encoding: str | None = None) -> str:
    """Reads a whole text file, its lines ended by ``\\n``.

    Args:
        path: the file, plain or ``.gz``.
        encoding: see ``runner.data.encoding.find_encoding``.

    Raises:
        DataError: it cannot be read, or is not text in this encoding.
    """
    try:
        with open_bytes(path) as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    encoding = find_encoding(data[:HEAD_BYTES], path, encoding)
    try:
        return data.decode(encoding).replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise decoding_error(path, encoding, error) from error


def is_file(argument: str, *suffixes: str) -> bool:
    """Returns whether an input of a prediction is, or is named like, a file with one of these suffixes
    (optionally followed by ``.gz``); any file if no suffixes are given.
    """
    suffix = Path(argument.lower().removesuffix(".gz")).suffix
    is_file = os.path.isfile(argument)  # a text may be longer than a path can be: pathlib would raise
    return (suffix in suffixes and (is_file or " " not in argument)) or (is_file and not suffixes)


def text_lines(argument: str, encoding: str | None = None) -> Iterator[tuple[str, str]]:
    """``(name, text)`` of the lines of a file that are not empty; what is no file is a text itself.

    Raises:
        DataError: what is called like a text file cannot be read.
    """
    if not is_file(argument) and not is_file(argument, ".txt"):
        yield argument, argument
        return
    for number, line in enumerate(read_text(Path(argument), encoding).splitlines(), start=1):
        if line.strip():
            yield f"line {number}", line


def rows_of(path: Path, separator: str | None, quoted: bool | None, encoding: str | None = None):
    """The cells of each line. Commas separate quoted cells, tabs plain ones, unless stated otherwise."""
    dialect = find_dialect(path, separator, encoding=encoding)
    if separator is None and not dialect.num_skipped_lines:
        separator = max(SEPARATORS, key=dialect.head[0].count)
    separator = separator or dialect.separator
    quoted = separator != "\t" if quoted is None else quoted
    with open_bytes(path) as data, io.TextIOWrapper(data, encoding=dialect.encoding, newline="") as file:
        for _ in range(dialect.num_skipped_lines):
            file.readline()
        yield from csv.reader(
            file, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=quoted
        )


def text_columns(
    path: str | Path,
    columns: list[str | None],
    separator: str | None,
    quoted: bool | None = None,
    encoding: str | None = None,
):
    """``(row number, cells of these columns)`` of a table with a header line; None for a column of None.

    Raises:
        DataError: no such file or column, or rows that cannot be distinguished.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        rows = rows_of(path, separator, quoted, encoding)
        header = [name.strip() for name in next(rows, [])]
        missing = [name for name in columns if name is not None and name not in header]
        if missing:
            hints = (f"{path} has no column {name!r}. {did_you_mean(name, header)}" for name in missing)
            raise DataError("\n".join(hints))
        places = [None if name is None else header.index(name) for name in columns]
        for number, row in enumerate(rows, start=1):
            if row and len(row) != len(header):
                raise DataError(
                    f"{path}, row {number} has {len(row)} cells, the header line {len(header)}. Name the "
                    "separator with "
                    "data.separator, and data.quoted=true or false says whether quotes enclose cells."
                )
            if row:
                yield number, [None if place is None else row[place] for place in places]
    except UnicodeDecodeError as error:
        raise decoding_error(path, encoding or error.encoding, error, "after its first lines") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a table of texts: {error}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def read_csv(
    path: str | Path,
    text: str,
    label: str,
    separator: str | None,
    quoted: bool | None,
    group: str | None = None,
    encoding: str | None = None,
) -> Texts:
    """Two columns of a table, and a third one of groups."""
    texts = Texts()
    rows = text_columns(path, [text, label, group], separator, quoted, encoding)
    for number, (words, word, of_group) in rows:
        texts.add(words, word, group=of_group, row=f"row {number}")
    return texts


def read_folder(root: str | Path, dropped: DroppedSamples, encoding: str | None = None) -> Texts:
    """``ROOT/CLASS/FILE.txt``, or the same below split folders; see ``scan_class_folders``.

    Raises:
        DataError: no such folder, or no texts in it.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: no such folder.")
    texts = Texts()
    for file in scan_class_folders(root, "texts", lambda path: path.suffix.lower() == ".txt", dropped):
        texts.add(read_text(root / file.path, encoding), file.label, file.split, str(file.path))
    if not texts.texts:
        raise DataError(
            f"{root} holds no ROOT/CLASS/FILE.txt with text, nor the same below train, val and test."
        )
    return texts
