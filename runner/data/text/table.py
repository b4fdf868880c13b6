"""Readers of labelled texts: tables, class folders and lines of files."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from runner.data.class_folders import scan_class_folders
from runner.data.dropped import DroppedSamples
from runner.data.encoding import decoding_error, find_encoding
from runner.data.given_splits import parts_of_column
from runner.data.labels import case_notices, find_label, merge_spellings, merged_spellings
from runner.data.tables.dialect import find_dialect
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = [
    "TextColumns",
    "Texts",
    "is_file",
    "number_labels",
    "read_folder",
    "read_tables",
    "read_text",
    "required_path",
    "text_columns",
    "text_lines",
]


def required_path(path: str | None) -> str:
    """Return ``data.path``.

    Raises:
        DataError: it is not set.
    """
    if not path:
        raise DataError("data.path is not set: name the file or folder of the texts with data.path=…")
    return path


log = logging.getLogger(__name__)


def number_labels(
    labels: Iterable[str], known: Sequence[str], title: str, order: Callable[[str], Any] | None = None
) -> tuple[list[str], dict[str, int]]:
    """Return the class names, and the class id of each spelling (see ``runner.data.labels``).

    Args:
        labels: labels of all texts.
        known: class names of a trained run; empty for a new one.
        title: name of the data, for messages.
        order: sort key of the names of a new run.

    Raises:
        DataError: there are labels that the trained run does not have.
    """
    spellings = merge_spellings(labels)
    if not known:
        names = sorted(set(spellings.values()), key=order)
        for name, group in merged_spellings(spellings).items():
            log.warning("%s: the labels %s are one class, %r.", title, ", ".join(map(repr, group)), name)
        for notice in case_notices(names):
            log.warning("%s: the labels %s.", title, notice)
        return names, {spelling: names.index(name) for spelling, name in spellings.items()}
    numbers = {spelling: find_label(spelling, known) for spelling in spellings}
    if unknown := sorted(spelling for spelling, number in numbers.items() if number is None):
        raise DataError(f"{title} has labels that the run was not trained on: {', '.join(unknown)}.")
    return list(known), {spelling: number for spelling, number in numbers.items() if number is not None}


SEPARATORS = "\t,;|"
HEAD_BYTES = 1 << 16
csv.field_size_limit(1 << 30)


@dataclass
class Texts:
    """Texts and their labels.

    Attributes:
        texts: the texts.
        labels: label of each text.
        parts: split of each text if the files name the splits; otherwise empty.
        names: file of each text if each has its own file; otherwise empty.
        groups: value of each text in the group column, if there is one; otherwise empty.
        left_out: reason → the rows or files that are not used.
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
        """Add a text, or count it as left out if text or label is empty.

        Args:
            text: the text.
            label: its label.
            part: its split if the files name the splits.
            name: its file if each text has its own file.
            group: its value in the group column.
            row: its position in the file, for messages; ``name`` if None.
        """
        if not text.strip() or not label.strip():
            reason = "no text" if not text.strip() else "no label"
            self.left_out.setdefault(reason, []).append(row or name or "")
            return
        self.texts.append(text)
        self.labels.append(label.strip())
        for values, value in ((self.parts, part), (self.names, name), (self.groups, group)):
            if value is not None:
                values.append(value)

    def report(self, dropped: DroppedSamples, what: str, where: str) -> None:
        """Add the texts that are left out to ``dropped``."""
        total = len(self.texts) + sum(map(len, self.left_out.values()))
        for reason, rows in self.left_out.items():
            dropped.add(what, len(rows), reason, total, where, filter(None, rows))

    def keep(self, indices: Sequence[int]) -> None:
        """Keep only these texts."""
        for name in ("texts", "labels", "parts", "names", "groups"):
            if values := getattr(self, name):
                setattr(self, name, [values[index] for index in indices])


def open_bytes(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else open(path, "rb")


def read_text(path: Path, encoding: str | None = None) -> str:
    r"""Read a whole text file and convert its line ends to ``\n``.

    Args:
        path: the file, plain or ``.gz``.
        encoding: see ``runner.data.encoding.find_encoding``.

    Raises:
        DataError: the file cannot be read, or is not text in this encoding.
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
    """Return whether an input of a prediction is a file.

    Args:
        argument: a text or a path.
        *suffixes: suffixes that the file must have, optionally followed by ``.gz``; an argument that is named
            like such a file counts, too. Without suffixes, any existing file counts.
    """
    suffix = Path(argument.lower().removesuffix(".gz")).suffix
    exists = os.path.isfile(argument)  # a text may be too long for a path: pathlib would raise
    return (suffix in suffixes and (exists or " " not in argument)) or (exists and not suffixes)


def text_lines(argument: str, encoding: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield ``(name, text)`` of the non-empty lines of a file, or the argument itself if it is a text.

    Raises:
        DataError: a file cannot be read, or does not exist.
    """
    if not is_file(argument) and not is_file(argument, ".txt"):
        yield argument, argument
        return
    for number, line in enumerate(read_text(Path(argument), encoding).splitlines(), start=1):
        if line.strip():
            yield f"line {number}", line


def rows_of(
    path: Path, separator: str | None, quoted: bool | None, encoding: str | None = None
) -> Iterator[list[str]]:
    """Yield the cells of each line; by default cells may be quoted unless tabs separate them."""
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
    columns: Sequence[str | None],
    separator: str | None,
    quoted: bool | None = None,
    encoding: str | None = None,
    header: Sequence[str] | None = None,
) -> Iterator[tuple[int, list[str | None]]]:
    """Yield ``(row number, cells of these columns)`` of a table.

    Args:
        path: the file, plain or ``.gz``.
        columns: names of columns; the cell of a column None is None.
        separator: separator of the cells; detected when None.
        quoted: whether quotes enclose cells; when None, only if the separator is not a tab.
        encoding: see ``runner.data.encoding.find_encoding``.
        header: names of all columns, if the file has no header line.

    Raises:
        DataError: the file or a column does not exist, or rows have unequal lengths.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        rows = rows_of(path, separator, quoted, encoding)
        header = [name.strip() for name in next(rows, [])] if header is None else list(header)
        missing = [name for name in columns if name is not None and name not in header]
        if missing:
            hints = (f"{path} has no column {name!r}. {did_you_mean(name, header)}" for name in missing)
            raise DataError("\n".join(hints))
        positions = [None if name is None else header.index(name) for name in columns]
        for number, row in enumerate(rows, start=1):
            if row and len(row) != len(header):
                raise DataError(
                    f"{path}, row {number} has {len(row)} cells, the header line {len(header)}. Set the "
                    "separator with data.separator, and whether quotes enclose cells with data.quoted=true "
                    "or false."
                )
            if row:
                yield number, [None if position is None else row[position] for position in positions]
    except UnicodeDecodeError as error:
        raise decoding_error(path, encoding or error.encoding, error, "after its first lines") from error
    except csv.Error as error:
        raise DataError(f"{path} is not a table of texts: {error}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


@dataclass(frozen=True)
class TextColumns:
    """Columns and format of tables with texts.

    Attributes:
        text: columns of texts, which are joined by line breaks.
        label: column of classes.
        split: column with the names of splits.
        separator, quoted, encoding, header: see ``text_columns``.
    """

    text: tuple[str, ...] = ("text",)
    label: str = "label"
    split: str | None = None
    separator: str | None = None
    quoted: bool | None = None
    encoding: str | None = None
    header: tuple[str, ...] | None = None

    def rows(
        self, path: str | Path, columns: Sequence[str | None] = ()
    ) -> Iterator[tuple[int, str, list[str | None]]]:
        """Yield ``(row number, text, cells of further columns)`` of a table; see ``text_columns``."""
        names = [*self.text, *columns]
        rows = text_columns(path, names, self.separator, self.quoted, self.encoding, self.header)
        for number, cells in rows:
            words = [cell for cell in cells[: len(self.text)] if cell]
            yield number, "\n".join(words), cells[len(self.text) :]


def read_tables(paths: Mapping[str, str | Path], columns: TextColumns, group: str | None = None) -> Texts:
    """Read labelled texts from one or several tables.

    Args:
        paths: the tables by split; ``train`` alone is split later.
        columns: their columns and format.
        group: column of groups.

    Raises:
        DataError: a file or a column does not exist, or a row names no split.
    """
    texts = Texts()
    where = str(paths["train"])
    parts: list[str] = []
    for split, path in paths.items():
        for number, words, (word, of_group, part) in columns.rows(
            path, [columns.label, group, columns.split]
        ):
            num_before = len(texts.texts)
            texts.add(words, word or "", group=of_group, row=f"row {number}")
            if len(texts.texts) > num_before:
                parts.append(split if part is None else part.strip())
    if columns.split is not None:
        texts.parts = parts_of_column(parts, columns.split, where)
    elif len(paths) > 1:
        texts.parts = parts
    label, path = columns.label, where
    if label in texts.labels:
        log.warning(
            "%s: the first line names the columns, and the name %r is also a label of %d rows. If the file "
            "has no "
            "header line, its first row is lost: add one.",
            path,
            label,
            texts.labels.count(label),
        )
    return texts


def read_folder(root: str | Path, dropped: DroppedSamples, encoding: str | None = None) -> Texts:
    """Read ``ROOT/CLASS/FILE.txt``, or the same below split folders; see ``scan_class_folders``.

    Raises:
        DataError: the folder does not exist, or contains no texts.
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
