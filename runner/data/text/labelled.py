"""Base class of data modules for sequences with a class for each step."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts
from runner.data.text.distinct import Duplicates, cut_together, first_copies, num_shared
from runner.data.text.source import SequenceSplit, TokenSource, pad_tokens
from runner.data.text.table import number_labels, text_lines
from runner.data.text.tokenizer import TextTokenizer, fitted_tokenizer, size_problems
from runner.errors import DataError

__all__ = ["Labelled", "LabelledStepsDataModule"]

log = logging.getLogger(__name__)

MIN_SEQUENCES = 10


@dataclass
class Labelled:
    """Tokens and labels of each sequence."""

    tokens: list[list[str]] = field(default_factory=list)
    labels: list[list[str]] = field(default_factory=list)


class LabelledStepsDataModule(DataModule):
    """Sequences, split at random, with a label for each token.

    The vocabulary is built from the training tokens and stored in the checkpoint. Batches are
    ``{"inputs": (N, T), "targets": (N, T)}``, padded with 0 and -100.

    Attributes:
        tokenizer: available after ``setup`` or ``load_state_dict``.
    """

    extra_facts = ("vocab_size", "num_features", "per_step", "num_duplicates")

    def __init__(
        self,
        *,
        vocab_size: Annotated[int, Gt(4)] | None = None,
        min_count: Annotated[int, Ge(1)] = 1,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 32,
        duplicates: Duplicates = "keep",
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.duplicates = duplicates
        self.vocab_size, self.min_count = vocab_size, min_count
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.tokenizer: TextTokenizer | None = None
        self.class_names: list[str] = []
        self.words: list[list[str]] = []
        self.num_duplicates = 0

    def read(self) -> Labelled:
        """Return all sequences."""
        raise TypeError(f"{type(self).__name__} does not implement read().")

    @property
    def title(self) -> str:
        """The name of the data set."""
        return type(self).__name__

    def tokens_of(self, text: str) -> list[str]:
        """Return the tokens of a new text."""
        return text.split()

    def source_name(self) -> str:
        """Return the origin of the sequences, for facts and messages."""
        return ""

    def check(self) -> list[str]:
        return size_problems("word", self.vocab_size)

    def setup(self, stage: str | None = None) -> None:
        """Reads and encodes the sequences, once. A prediction does not need them."""
        if self.splits or stage == "predict":
            return
        labelled = self.read()
        copies = first_copies(["\0".join(words) for words in labelled.tokens], lowercase=False)
        if self.duplicates == "drop":
            kept = copies.unique().tolist()
            reason = "identical to an earlier one (data.duplicates=drop)"
            self.num_duplicates = len(copies) - len(kept)
            self.dropped.add("sentences", len(copies) - len(kept), reason, len(copies), self.title)
            labelled = Labelled(
                [labelled.tokens[index] for index in kept], [labelled.labels[index] for index in kept]
            )
            copies = torch.arange(len(kept))
        self.words = labelled.tokens
        different = len(copies.unique()) if self.duplicates == "together" else len(copies)
        if different < MIN_SEQUENCES:
            hint = (
                " Identical ones count once; data.duplicates=keep counts all of them."
                if different < len(copies)
                else ""
            )
            raise DataError(
                f"{self.source_name()} holds {different} sequences; {MIN_SEQUENCES} or more are needed.{hint}"
            )
        spellings = (label for labels in labelled.labels for label in labels)
        self.class_names, numbers = number_labels(spellings, self.class_names, self.source_name(), natural)
        parts = self.cut(copies)
        self.report_copies(copies, parts)
        if self.tokenizer is None:
            train = (labelled.tokens[int(index)] for index in parts["train"])
            self.tokenizer = TextTokenizer.of_words(train, self.vocab_size, self.min_count)
        ids = [self.tokenizer.encode_words(words) for words in labelled.tokens]
        source = TokenSource(
            ids, [[numbers[label] for label in labels] for labels in labelled.labels], "sequence"
        )
        splits = {name: SequenceSplit(source, part, self.seed, pad_tokens) for name, part in parts.items()}
        self.splits = {**splits}
        self.facts = self.make_facts(source, labelled, splits["train"])

    def cut(self, copies: Tensor) -> dict[str, Tensor]:
        """Return the indices of each split.

        With ``duplicates=together``, identical sequences are in one split or fold.
        """
        everything = torch.arange(len(copies))
        units = copies if self.duplicates == "together" else everything
        train, val, test = cut_together(
            units, everything, self.val_fraction, self.test_fraction, self.split_seed, None
        )
        folds = self.folds
        if folds and not folds.group_column and not folds.group_pattern and len(units.unique()) < len(units):
            self.folds = replace(folds, group_column="identical sequences")
        try:
            train, val = self.fold(
                train, val, column=(lambda _: units.tolist()) if self.folds is not folds else None
            )
        finally:
            self.folds = folds
        return {"train": train, "val": val, "test": test}

    def report_copies(self, copies: Tensor, parts: dict[str, Tensor]) -> None:
        """Log how many sequences repeat another one, and how many held-out ones occur in an earlier split."""
        repeats = int((copies != torch.arange(len(copies))).sum())
        self.num_duplicates += repeats
        shared = sum(num_shared(copies, parts).values())
        if repeats:
            end = (
                f"{shared} held-out ones also occur in an earlier split"
                if shared
                else "identical ones are in the same split"
            )
            log.warning(
                "%s: %d of %d sentences are identical to an earlier one; %s.",
                self.title,
                repeats,
                len(copies),
                end,
            )

    def make_facts(self, source: TokenSource, labelled: Labelled, train: SequenceSplit) -> Facts:
        """Return the facts of the sequences."""
        counts = np.zeros(len(self.class_names), dtype=np.int64)
        for index in train.indices.tolist():
            counts += np.bincount(source[index][1].numpy(), minlength=len(counts))
        text = "\0".join(
            " ".join([*words, *labels])
            for words, labels in zip(labelled.tokens, labelled.labels, strict=True)
        )
        return Facts(
            task="labelling",
            input_shape=(int(train.lengths.max()),),
            num_outputs=len(self.class_names),
            class_names=list(self.class_names),
            class_counts=counts.tolist(),
            **self.split_sizes(),
            name=self.title,
            source=self.source_name(),
            digest=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
            class_counts_of="steps",
            extra={
                "vocab_size": len(fitted_tokenizer(self.tokenizer)),
                "num_features": 0,
                "per_step": True,
                "num_duplicates": self.num_duplicates,
            },
        )

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Reads texts: the arguments themselves, or each line of a file."""
        tokenizer = fitted_tokenizer(self.tokenizer)
        for path in paths:
            for _, text in text_lines(path):
                yield text, torch.tensor(tokenizer.encode_words(self.tokens_of(text)))

    def batch_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        return pad_tokens([(ids, ids) for ids in inputs])["inputs"]

    def text_of(self, split: str, index: int) -> str:
        """Return the text of a sample."""
        return " ".join(self.words[index])

    def state_dict(self) -> dict[str, Any]:
        if self.tokenizer is None:
            return {}
        return {"tokenizer": self.tokenizer.to_json(), "class_names": self.class_names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores vocabulary and classes, so that ``setup`` does not compute them.

        Raises:
            DataError: ``setup`` already computed different ones: the sequences have changed.
        """
        self.reject_change(state_dict, self.source_name(), "its vocabulary differs")
        self.tokenizer = TextTokenizer.from_json(state_dict["tokenizer"])
        self.class_names = list(state_dict["class_names"])


def natural(name: str) -> tuple[int, str]:
    """Return a sort key that orders numbers by value, before words."""
    return (int(name), "") if name.isdigit() else (1 << 60, name)
