"""Base class of data modules for text classification."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts
from runner.data.measurements import Measurements, spread
from runner.data.text.distinct import Duplicates, cut_together, first_copies, num_shared
from runner.data.text.source import SequenceSplit, TokenSource, pad_tokens
from runner.data.text.table import TextColumns, Texts, is_file, number_labels, required_path, text_lines
from runner.data.text.tokenizer import Kind, TextTokenizer, fitted_tokenizer, size_problems
from runner.errors import DataError

__all__ = ["TextDataModule", "TextOptions"]

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
MIN_TEXTS_PER_CLASS = 3
"""One for each split."""


class TextOptions(LoaderOptions, total=False):
    """Keyword arguments that subclasses forward to ``TextDataModule``."""

    tokens: Kind
    vocab_size: int | None
    min_count: int
    lowercase: bool
    max_length: int
    val_fraction: float
    test_fraction: float
    split_seed: int
    duplicates: Duplicates
    encoding: str | None
    batch_size: int


class TextDataModule(DataModule):
    """Texts with one class each.

    The vocabulary is built from the training texts only and stored in the checkpoint. A subclass implements
    ``read``.

    Args:
        path: the file or folder of the texts.
        tokens: the token type: words, characters, or byte pairs trained on the training texts.
        vocab_size: maximum size of the vocabulary; 20 000 words, 10 000 characters or 4 000 byte pairs when
            None.
        min_count: tokens that occur less often in the training texts are unknown.
        lowercase: convert texts to lower case.
        max_length: maximum number of tokens of a text; longer texts are truncated.
        val_fraction, test_fraction: fractions of all texts, split at random and stratified by class, with at
            least one text of each class; only if the files name no such split.
        split_seed: seed of the random split.
        duplicates: treatment of texts that are identical except for white space (and for case with
            ``lowercase``): ``together`` assigns them to one split or fold, ``drop`` keeps the first one only,
            ``keep`` treats them as different texts. Splits named by the files are not changed, except that
            ``drop`` leaves out training texts.
        encoding: encoding of the files, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are
            detected when None.

    Attributes:
        tokenizer: available after ``setup`` or ``load_state_dict``.
        columns: columns and format of tables with new texts.
    """

    extra_facts = ("vocab_size", "num_features", "per_step", "num_duplicates")
    what: ClassVar[str] = "file"
    unit: ClassVar[str] = "rows"

    def __init__(
        self,
        path: str | None = None,
        *,
        tokens: Kind = "word",
        vocab_size: Annotated[int, Gt(4)] | None = None,
        min_count: Annotated[int, Ge(1)] = 2,
        lowercase: bool = True,
        max_length: Annotated[int, Ge(1)] = 256,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        duplicates: Duplicates = "together",
        encoding: str | None = None,
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.path = str(Path(path).expanduser()) if path else None
        self.tokens = tokens
        self.vocab_size = vocab_size
        self.min_count = min_count
        self.lowercase = lowercase
        self.max_length = max_length
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.split_seed = split_seed
        self.duplicates = duplicates
        self.encoding = encoding
        self.columns = TextColumns(encoding=encoding)
        self.tokenizer: TextTokenizer | None = None
        self.class_names: list[str] = []
        self.texts: list[str] = []
        self.num_duplicates = 0

    def read(self) -> Texts:
        """Return all texts and their labels."""
        raise TypeError(f"{type(self).__name__} does not implement read().")

    @property
    def title(self) -> str:
        """The name of the data set."""
        return Path(required_path(self.path)).absolute().name.split(".")[0]

    def source_name(self) -> str:
        """Return the origin of the texts, for facts and messages."""
        return str(Path(required_path(self.path)).absolute())

    def check(self) -> list[str]:
        problems = size_problems(self.tokens, self.vocab_size)
        if not self.path:
            return [*problems, f"data.path is not set: name the {self.what} of the texts with data.path=…"]
        if not Path(self.path).exists():
            return [*problems, f"data.path={self.path}: no such {self.what}."]
        return problems + self.file_problems()

    def file_problems(self) -> list[str]:
        """Return problems of the file that can be found quickly."""
        return []

    def setup(self, stage: str | None = None) -> None:
        """Reads and encodes the texts, once. A prediction does not need them."""
        if self.splits or stage == "predict":
            return
        texts = self.read()
        texts.report(self.dropped, self.unit, self.title)
        if not texts.texts:
            raise DataError(f"{self.source_name()} holds no {self.unit} with a text and a label.")
        names, numbers = number_labels(texts.labels, self.class_names, self.title)
        if self.duplicates == "drop":
            self.drop_copies(texts)
        self.texts = texts.texts
        targets = torch.tensor([numbers[label] for label in texts.labels])
        copies = first_copies(texts.texts, self.lowercase)
        self.check_counts(targets, names, copies)
        parts = self.cut(targets, texts, copies)
        self.class_names = names
        self.report_copies(copies, parts, bool(texts.parts))
        if self.tokenizer is None:
            self.tokenizer = self.fit(texts.texts[int(i)] for i in parts["train"])
        source = TokenSource(self.encode_counted(texts.texts), targets)
        splits = {name: SequenceSplit(source, part, self.seed, pad_tokens) for name, part in parts.items()}
        self.splits = {**splits}
        self.facts = self.make_facts(source, splits["train"])

    def drop_copies(self, texts: Texts) -> None:
        """Remove repeated texts; if the files name the splits, only training texts that repeat another."""
        total = len(texts.texts)
        held_out = [part in ("val", "test") for part in texts.parts] or [False] * total
        order = sorted(range(total), key=lambda index: not held_out[index])  # held-out copies are kept
        copies = first_copies([texts.texts[index] for index in order], self.lowercase).tolist()
        kept = [
            index for position, index in enumerate(order) if held_out[index] or copies[position] == position
        ]
        self.dropped.add(
            self.unit, total - len(kept), "identical to another one (data.duplicates=drop)", total, self.title
        )
        self.num_duplicates = total - len(kept)
        texts.keep(sorted(kept))

    def report_copies(self, copies: Tensor, parts: dict[str, Tensor], is_official: bool) -> None:
        """Log how many texts repeat another one, and how many held-out ones occur in an earlier split."""
        repeats = int((copies != torch.arange(len(copies))).sum())
        self.num_duplicates += repeats
        if not repeats:
            return
        shared = num_shared(copies, parts)
        message = f"{self.title}: {repeats} of {len(copies)} {self.unit} are identical to an earlier one"
        if not any(shared.values()):
            log.warning("%s; identical ones are in the same split.", message)
            return
        counts = " and ".join(
            f"{count} of {len(parts[name])} in {name}" for name, count in shared.items() if count
        )
        advice = (
            "data.duplicates=drop leaves out the training copies"
            if is_official
            else "data.duplicates=together prevents it"
        )
        log.warning("%s; %s also occur in an earlier split (%s).", message, counts, advice)

    def check_counts(self, targets: Tensor, names: Sequence[str], copies: Tensor) -> None:
        """Check that there are several classes with enough texts each.

        Raises:
            DataError: there are not.
        """
        different = copies.unique() if self.duplicates == "together" else torch.arange(len(targets))
        counts = torch.bincount(targets[different], minlength=len(names)).tolist()
        if len(names) == 1:
            raise DataError(
                f"{self.title}: every label is {names[0]!r}, so there is nothing to learn. Is data.label "
                "the column of classes?"
            )
        rare = [
            f"{name} ({count})"
            for name, count in zip(names, counts, strict=True)
            if count < MIN_TEXTS_PER_CLASS
        ]
        if rare:
            once = "Identical texts count once; data.duplicates=keep counts all of them. "
            raise DataError(
                f"{self.title}: {', '.join(rare[:5])}{' …' if len(rare) > 5 else ''}: each class needs "
                f"{MIN_TEXTS_PER_CLASS} texts or more. {once if len(different) < len(targets) else ''}There "
                f"are {len(names)} classes; is data.label the column of classes?"
            )

    def cut(self, targets: Tensor, texts: Texts, copies: Tensor) -> dict[str, Tensor]:
        """Return the indices of each split."""
        parts, everything = texts.parts, torch.arange(len(targets))
        units = copies if self.duplicates == "together" else everything
        if not parts:
            train, val, test = self.cut_pool(
                everything, self.val_fraction, self.test_fraction, targets, texts, units
            )
            return dict(zip(SPLITS, (*self.cut_folds(train, val, targets, texts, units), test), strict=True))
        names = np.array(parts)
        indices = {name: torch.from_numpy(np.flatnonzero(names == name)) for name in SPLITS if name in parts}
        if "val" not in indices:
            rest, val, _ = self.cut_pool(indices["train"], self.val_fraction, 0.0, targets, texts, units)
            indices |= dict(
                zip(("train", "val"), self.cut_folds(rest, val, targets, texts, units), strict=True)
            )
        return indices

    def cut_pool(
        self,
        pool: Tensor,
        val_fraction: float,
        test_fraction: float,
        targets: Tensor,
        texts: Texts,
        units: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Split some of the texts at random: whole groups, or else identical texts together."""
        if self.group is None:
            return cut_together(units, pool, val_fraction, test_fraction, self.split_seed, targets)
        if self.groups_by == "name":
            names = [texts.names[index] for index in pool.tolist()]
            parts = self.split_names(names, val_fraction, test_fraction, self.split_seed, targets[pool])
        else:
            groups = self.groups_of(texts)
            parts = self.split_samples(
                len(pool), val_fraction, test_fraction, self.split_seed, targets[pool],
                lambda: [groups[index] for index in pool.tolist()],
            )  # fmt: skip
        train, val, test = (pool[part] for part in parts)
        return train, val, test

    def cut_folds(
        self, train: Tensor, val: Tensor, targets: Tensor, texts: Texts, units: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Cut folds as ``fold`` does; identical texts are in one fold unless the user names other groups."""
        name = texts.names.__getitem__ if texts.names else None
        if (
            self.folds is None
            or self.folds.group_column
            or self.folds.group_pattern
            or len(units.unique()) == len(units)
        ):
            return self.fold(
                train, val, targets, name, (lambda _: self.groups_of(texts)) if texts.groups else None
            )
        folds, self.folds = self.folds, replace(self.folds, group_column="identical texts")
        try:
            return self.fold(train, val, targets, name, lambda _: units.tolist())
        finally:
            self.folds = folds

    def groups_of(self, texts: Texts) -> list[str]:
        """Return the group of each text.

        Raises:
            DataError: a text has no group.
        """
        num_missing = sum(not group.strip() for group in texts.groups)
        if num_missing:
            key, column = "data.group", self.group
            if self.folds and self.folds.group_column != self.group:
                key, column = "folds.group_column", self.folds.group_column
            raise DataError(f"{key}={column}: {num_missing} texts have no value in this column.")
        return texts.groups

    def fit(self, texts: Iterator[str]) -> TextTokenizer:
        """Return a tokenizer fitted to the training texts."""
        return TextTokenizer.fit(texts, self.tokens, self.vocab_size, self.min_count, self.lowercase)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, at least one."""
        return [ids[: self.max_length] or [1] for ids in fitted_tokenizer(self.tokenizer).encode_all(texts)]

    def encode_counted(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode texts as ``encode`` does, and count the tokens beyond ``max_length``."""
        whole = fitted_tokenizer(self.tokenizer).encode_all(texts)
        longer = [len(ids) - self.max_length for ids in whole if len(ids) > self.max_length]
        self.dropped.add(
            "tokens", sum(longer), f"the ends of {len(longer)} texts longer than "
                                   f"data.max_length={self.max_length}",
            sum(map(len, whole)), self.title,
        )  # fmt: skip
        return [ids[: self.max_length] or [1] for ids in whole]

    def measurements(self) -> Measurements:
        tokenizer, train = fitted_tokenizer(self.tokenizer), self.splits["train"]
        texts = [self.texts[int(train.indices[index])] for index in spread(len(train), 2000)]
        return Measurements(num_tokens=np.array([len(ids) for ids in tokenizer.encode_all(texts)]))

    def make_facts(self, source: TokenSource, train: SequenceSplit) -> Facts:
        """Return the facts of the texts.

        Raises:
            DataError: the validation split is empty.
        """
        if not len(self.splits["val"]):
            raise DataError(f"{self.title} has {len(source)} texts: too few for a validation split.")
        counts = np.bincount(np.asarray(source.targets[train.indices]), minlength=len(self.class_names))
        longest = int(train.lengths.max())
        return Facts(
            task="classification",
            input_shape=(longest,),
            num_outputs=len(self.class_names),
            class_names=list(self.class_names),
            class_counts=counts.tolist(),
            **self.split_sizes(),
            name=self.title,
            source=self.source_name(),
            digest=hashlib.blake2b("\0".join(self.texts).encode(), digest_size=16).hexdigest(),
            extra={
                "vocab_size": len(fitted_tokenizer(self.tokenizer)),
                "num_features": 0,
                "per_step": False,
                "num_duplicates": self.num_duplicates,
            },
        )

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Reads texts: the arguments themselves, the column of texts of a table, each line of other files.

        Raises:
            DataError: an argument looks like a file that does not exist.
        """
        for path in paths:
            for name, text in self.read_new(path):
                yield name, torch.tensor(self.encode([text])[0])

    def read_new(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield ``(name, text)`` of one argument of a prediction."""
        if not is_file(path, ".csv", ".tsv"):
            yield from text_lines(path, self.encoding)
            return
        for row, text, _ in self.columns.rows(path):
            yield f"row {row}", text

    def batch_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        return pad_tokens([(ids, torch.tensor(0)) for ids in inputs])["inputs"]

    def text_of(self, split: str, index: int) -> str:
        """Return the original text of a sample."""
        return self.texts[index]

    def decode(self, ids: Sequence[int]) -> str:
        return fitted_tokenizer(self.tokenizer).decode(ids)

    def state_dict(self) -> dict[str, Any]:
        if self.tokenizer is None:
            return {}
        return {"tokenizer": self.tokenizer.to_json(), "class_names": self.class_names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the vocabulary, so that ``setup`` does not compute it.

        Raises:
            DataError: ``setup`` already computed a different one: the texts have changed.
        """
        self.reject_change(state_dict, self.title, "its vocabulary differs")
        self.tokenizer = TextTokenizer.from_json(state_dict["tokenizer"])
        self.class_names = list(state_dict["class_names"])
