"""Data modules of labelled texts in files: two columns of a table, or a folder for each class."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from runner.data.text.base import TextDataModule, TextOptions
from runner.data.text.table import TextColumns, Texts, read_folder, read_tables, required_path
from runner.errors import DataError

__all__ = ["TextFolderDataModule", "TextTableDataModule"]


class TextTableDataModule(TextDataModule):
    """A CSV or TSV file, plain or ``.gz``.

    Args:
        text: name of the column of texts, or of several columns, which are joined by line breaks.
        label: name of the column of classes.
        val_path, test_path: separate files of these splits; without them, ``val_fraction`` and
            ``test_fraction`` of the texts are split off. With ``val_path`` alone there is no test split.
        split_column: a column that names the split of each row (``train``, ``val``, ``test`` and the like).
        columns: names of all columns, if the file has no header line.
        separator: separator of the cells; detected when None.
        quoted: whether quotes enclose cells; when None, only if the separator is not a tab.
    """

    groups_by = "column"

    def __init__(
        self,
        path: str | None = None,
        *,
        text: str | list[str] = "text",
        label: str = "label",
        val_path: str | None = None,
        test_path: str | None = None,
        split_column: str | None = None,
        columns: list[str] | None = None,
        separator: str | None = None,
        quoted: bool | None = None,
        **options: Unpack[TextOptions],
    ) -> None:
        super().__init__(path=path, **options)
        held_out = {"val": val_path, "test": test_path}
        self.held_out = {split: Path(path).expanduser() for split, path in held_out.items() if path}
        self.columns = TextColumns(
            (text,) if isinstance(text, str) else tuple(text),
            label,
            split_column,
            separator,
            quoted,
            self.encoding,
            None if columns is None else tuple(columns),
        )

    def file_problems(self) -> list[str]:
        if self.columns.split and self.held_out:
            given = f"data.{next(iter(self.held_out))}_path"
            return [f"data.split_column and {given} both define splits: remove one of them."]
        problems = []
        names = [self.columns.label, self.group, self.columns.split]
        for path in self.files.values():
            try:
                next(self.columns.rows(path, names), None)
            except DataError as error:
                problems.append(str(error))
        return problems

    @property
    def files(self) -> dict[str, Path]:
        """The tables by split."""
        return {"train": Path(required_path(self.path)), **self.held_out}

    def read(self) -> Texts:
        group = self.folds.group_column if self.folds else self.group
        return read_tables(self.files, self.columns, group)


class TextFolderDataModule(TextDataModule):
    """Text files ``PATH/CLASS/FILE.txt``, or the same below split folders.

    The names of split folders are ``train``, ``val``, ``test`` and the others in
    ``runner.data.class_folders``.
    """

    what = "folder"
    unit = "texts"
    groups_by = "name"

    def read(self) -> Texts:
        return read_folder(required_path(self.path), self.dropped, self.encoding)
