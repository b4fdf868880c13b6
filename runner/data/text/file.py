"""Data modules of labelled texts in files: two columns of a table, or a folder for each class."""

from __future__ import annotations

from typing import Unpack

from runner.data.text.base import TextDataModule, TextOptions
from runner.data.text.table import Texts, read_csv, read_folder, required_path, text_columns
from runner.errors import DataError

__all__ = ["TextFolderDataModule", "TextTableDataModule"]


class TextTableDataModule(TextDataModule):
    """A CSV or TSV file with a header line, plain or ``.gz``.

    Args:
        text: name of the column of texts.
        label: name of the column of classes.
        separator: separator of the cells; detected when None.
        quoted: whether quotes enclose cells; when None, only if the separator is not a tab.
    """

    groups_by = "column"

    def __init__(
        self,
        path: str | None = None,
        *,
        text: str = "text",
        label: str = "label",
        separator: str | None = None,
        quoted: bool | None = None,
        **options: Unpack[TextOptions],
    ) -> None:
        super().__init__(path=path, **options)
        self.text, self.label = text, label
        self.separator, self.quoted = separator, quoted

    def file_problems(self) -> list[str]:
        columns = [self.text, self.label, self.group]
        try:
            path = required_path(self.path)
            next(text_columns(path, columns, self.separator, self.quoted, self.encoding), None)
        except DataError as error:
            return [str(error)]
        return []

    def read(self) -> Texts:
        group = self.folds.group_column if self.folds else self.group
        path = required_path(self.path)
        return read_csv(path, self.text, self.label, self.separator, self.quoted, group, self.encoding)


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
