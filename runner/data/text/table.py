"""Texts with labels, as files hold them."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.data.images.tree import entries
from runner.data.nearest import did_you_mean
from runner.data.split_folders import split_of_folder
from runner.errors import DataError

__all__ = ["Texts", "is_file", "read_csv", "read_folder", "read_text", "text_columns", "text_lines"]

SEPARATORS = "\t,;|"
csv.field_size_limit(1 << 30)


@dataclass
class Texts:
    """Texts and what each is.

    Attributes:
        labels: a word each.
        parts: the split each belongs to, where the files say so; else empty.
        names: the file of each, where each is one; else empty.
        groups: what each has in the column that tells groups, where there is one; else empty.
        num_left_out: rows without a text or a label.
    """

    texts: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    num_left_out: int = 0

    def add(
        self, text: str, label: str, part: str | None = None, name: str | None = None, group: str | None = None
    ) -> None:
        if not text.strip() or not label.strip():
            self.num_left_out += 1
            return
        self.texts.append(text)
        self.labels.append(label.strip())
        for kept, value in ((self.parts, part), (self.names, name), (self.groups, group)):
            if value is not None:
                kept.append(value)


def open_text(path: Path):
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")


def read_text(path: Path) -> str:
    """A whole text file.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        with open_text(path) as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason} at byte {error.start}. Convert it first.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def is_file(argument: str, *suffixes: str) -> bool:
    """Whether what was given to a prediction is a file with one of these suffixes (``.gz`` behind it or not), or is
    called like one; any file where no suffix is named."""
    suffix = Path(argument.lower().removesuffix(".gz")).suffix
    there = os.path.isfile(argument)  # a text may be longer than a path can be: pathlib would raise
    return (suffix in suffixes and (there or " " not in argument)) or (there and not suffixes)


def text_lines(argument: str) -> Iterator[tuple[str, str]]:
    """``(name, text)`` of the lines of a file that are not empty; what is no file is a text itself.

    Raises:
        DataError: what is called like a text file cannot be read.
    """
    if not is_file(argument) and not is_file(argument, ".txt"):
        yield argument, argument
        return
    for number, line in enumerate(read_text(Path(argument)).splitlines(), start=1):
        if line.strip():
            yield f"line {number}", line


def rows_of(path: Path, separator: str | None, quoted: bool | None):
    """The cells of each line. Commas stand between quoted cells, tabs between plain ones, unless said otherwise."""
    with open_text(path) as file:
        first = file.readline()
        separator = separator or max(SEPARATORS, key=first.count)
        quoted = separator != "\t" if quoted is None else quoted
        file.seek(0)
        yield from csv.reader(
            file, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE, strict=quoted
        )


def text_columns(path: str | Path, columns: list[str | None], separator: str | None, quoted: bool | None = None):
    """``(row number, cells of these columns)`` of a table with a header line; None for a column of None.

    Raises:
        DataError: no such file or column, or rows that cannot be told apart.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    try:
        rows = rows_of(path, separator, quoted)
        header = [name.strip() for name in next(rows, [])]
        missing = [name for name in columns if name is not None and name not in header]
        if missing:
            hints = (f"{path} has no column {name!r}. {did_you_mean(name, header)}" for name in missing)
            raise DataError("\n".join(hints))
        places = [None if name is None else header.index(name) for name in columns]
        for number, row in enumerate(rows, start=1):
            if row and len(row) != len(header):
                raise DataError(
                    f"{path}, row {number} has {len(row)} cells, the header line {len(header)}. Name the separator with "
                    "data.separator, and data.quoted=true or false says whether quotes enclose cells."
                )
            if row:
                yield number, [None if place is None else row[place] for place in places]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a table of texts: {error}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_csv(
    path: str | Path, text: str, label: str, separator: str | None, quoted: bool | None, group: str | None = None
) -> Texts:
    """Two columns of a table, and a third one that tells groups."""
    found = Texts()
    for _, (words, word, of_group) in text_columns(path, [text, label, group], separator, quoted):
        found.add(words, word, group=of_group)
    return found


def read_folder(root: str | Path) -> Texts:
    """``ROOT/CLASS/FILE.txt``, or the same below ``train``, ``val`` and ``test``.

    Raises:
        DataError: there is no such folder, or nothing in it.
    """
    root = Path(root).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder.")
    folders = {entry.name: Path(entry.path) for entry in entries(root) if entry.is_dir()}
    splits = {split: folder for name, folder in folders.items() if (split := split_of_folder(name))}
    found = Texts()
    for part, folder in splits.items() if "train" in splits else [(None, root)]:
        for entry in entries(folder):
            for file in sorted(Path(entry.path).rglob("*.txt")) if entry.is_dir() else ():
                found.add(read_text(file), entry.name, part, str(file.relative_to(root)))
    if not found.texts:
        raise DataError(f"{root} holds no ROOT/CLASS/FILE.txt, nor the same below train, val and test.")
    return found
