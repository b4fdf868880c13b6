"""The user's own labelled texts: two columns of a table, or a folder for each class."""

from __future__ import annotations

from typing import Unpack

from runner.data.text.base import TextDataModule, TextOptions
from runner.data.text.table import Texts, read_csv, read_folder, text_columns
from runner.errors import DataError

__all__ = ["TextFolderDataModule", "TextTableDataModule"]


class TextTableDataModule(TextDataModule):
    """A CSV or TSV file with a header line; ``.gz`` too.

    Args:
        text: the column of the texts.
        label: the column of their classes.
        separator: of the cells; found out when None.
        quoted: whether quotes enclose cells; when None, unless tabs separate them.
    """

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

    def look(self) -> list[str]:
        try:
            columns = [self.text, self.label]
            next(text_columns(self.path, columns, self.separator, self.quoted, self.encoding), None)
        except DataError as error:
            return [str(error)]
        return []

    def read(self) -> Texts:
        group = self.folds.group_column if self.folds else None
        return read_csv(self.path, self.text, self.label, self.separator, self.quoted, group, self.encoding)


class TextFolderDataModule(TextDataModule):
    """``PATH/CLASS/FILE.txt``, or the same below split folders (``train``, ``val``, ``test`` and the other
    names in ``runner.data.class_folders``); a file is a text.
    """

    what = "folder"
    unit = "texts"

    def read(self) -> Texts:
        return read_folder(self.path, self.dropped, self.encoding)
