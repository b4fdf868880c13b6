"""The user's own labelled texts: two columns of a table, or a folder for each class."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt

from runner.data.text.base import TextDataModule
from runner.data.text.distinct import Duplicates
from runner.data.text.table import Texts, read_csv, read_folder, text_columns
from runner.data.text.tokenizer import Kind
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
        text: str = "text",
        label: str = "label",
        separator: str | None = None,
        quoted: bool | None = None,
        tokens: Kind = "word",
        vocab_size: Annotated[int, Gt(4)] | None = None,
        min_count: Annotated[int, Ge(1)] = 2,
        lowercase: bool = True,
        max_length: Annotated[int, Ge(1)] = 256,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        duplicates: Duplicates = "together",
        batch_size: Annotated[int, Gt(0)] = 32,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(
            path,
            tokens,
            vocab_size,
            min_count,
            lowercase,
            max_length,
            val_fraction,
            test_fraction,
            split_seed,
            duplicates,
            batch_size,
            eval_batch_size,
            num_workers,
            seed,
            drop_last,
        )
        self.text, self.label = text, label
        self.separator, self.quoted = separator, quoted

    def look(self) -> list[str]:
        try:
            next(text_columns(self.path, [self.text, self.label], self.separator, self.quoted), None)
        except DataError as error:
            return [str(error)]
        return []

    def read(self) -> Texts:
        group = self.folds.group_column if self.folds else None
        return read_csv(self.path, self.text, self.label, self.separator, self.quoted, group)


class TextFolderDataModule(TextDataModule):
    """``PATH/CLASS/FILE.txt``, or the same below split folders (``train``, ``val``, ``test`` and the other
    names in ``runner.data.class_folders``); a file is a text.
    """

    what = "folder"
    unit = "texts"

    def read(self) -> Texts:
        return read_folder(self.path, self.dropped)
