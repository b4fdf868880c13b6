"""Data module of labelled words in files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Unpack

from annotated_types import Ge, Gt, Lt

from runner.data.base import LoaderOptions
from runner.data.text.distinct import Duplicates
from runner.data.text.labelled import Labelled, LabelledStepsDataModule
from runner.data.text.table import read_text, required_path
from runner.errors import DataError

__all__ = ["TaggedWordsDataModule"]

DOCUMENT = "-DOCSTART-"
COMMENT = re.compile(r"#\s*\S+\s*=\s")
"""Comments of CoNLL-U, such as ``# sent_id = 1``; a word ``#`` with a label does not match."""


class TaggedWordsDataModule(LabelledStepsDataModule):
    """A CoNLL file: ``WORD … LABEL`` in each line, and an empty line between sentences.

    ``-DOCSTART-`` lines separate documents, and lines such as ``# text = …`` are comments: neither is a word.

    Args:
        path: the file.
        vocab_size: maximum size of the vocabulary; 20 000 words when None.
        min_count: words that occur less often in the training sentences are unknown.
        val_fraction, test_fraction: fractions of all sentences, split at random.
        split_seed: seed of the random split.
        duplicates: treatment of identical sentences: ``together`` assigns them to one split or fold, ``drop``
            keeps the first one only, ``keep`` treats them as different sentences.
        encoding: encoding of the file, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are
            detected when None.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        vocab_size: Annotated[int, Gt(4)] | None = None,
        min_count: Annotated[int, Ge(1)] = 2,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        duplicates: Duplicates = "together",
        encoding: str | None = None,
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(
            vocab_size=vocab_size,
            min_count=min_count,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            split_seed=split_seed,
            batch_size=batch_size,
            duplicates=duplicates,
            **options,
        )
        self.path = str(Path(path).expanduser()) if path else None
        self.encoding = encoding

    @property
    def file(self) -> Path:
        """The file of words and labels."""
        return Path(required_path(self.path))

    @property
    def title(self) -> str:
        return self.file.name.split(".")[0]

    def check(self) -> list[str]:
        if not self.path:
            return [
                *super().check(),
                "data.path is not set: name the file of words and labels with data.path=FILE.",
            ]
        if not Path(self.path).is_file():
            return [*super().check(), f"data.path={self.path}: no such file."]
        return super().check()

    def read(self) -> Labelled:
        labelled, boundaries, comments = Labelled(), 0, 0
        sentence: list[list[str]] = []

        def finish() -> None:
            if sentence:
                labelled.tokens.append([cells[0] for cells in sentence])
                labelled.labels.append([cells[-1] for cells in sentence])
                sentence.clear()

        for number, line in enumerate(read_text(self.file, self.encoding).split("\n"), start=1):
            cells = line.split()
            if COMMENT.match(line):
                comments += 1
            elif not cells or cells[0] == DOCUMENT:
                boundaries += bool(cells)
                finish()
            elif len(cells) == 1:
                raise DataError(
                    f"{self.path}, line {number} holds {cells[0]!r} alone; expected a word and its label."
                )
            else:
                sentence.append(cells)
        finish()
        self.dropped.add("lines", comments, "comments, such as # sent_id = 1", where=self.file)
        self.dropped.add("lines", boundaries, f"{DOCUMENT}, the beginning of a document", where=self.file)
        return labelled

    def source_name(self) -> str:
        return str(self.file.absolute())
