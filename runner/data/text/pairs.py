"""Base class of data modules for pairs of source and target texts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts
from runner.data.text.source import SequenceSplit, TokenSource
from runner.data.text.table import text_lines
from runner.data.text.tokenizer import BEGIN, END, PAD, Kind, TextTokenizer, size_problems

__all__ = ["Pairs", "PairsDataModule", "PairsOptions"]

log = logging.getLogger(__name__)

Pairs = dict[str, list[tuple[str, str]]]
"""Split → source and target of each sample."""


class PairSource:
    """Encoded pairs and their original texts."""

    def __init__(
        self, sources: Sequence[list[int]], targets: Sequence[list[int]], texts: Sequence[tuple[str, str]]
    ) -> None:
        nothing = torch.zeros(len(sources), dtype=torch.long)
        self.sources, self.targets = TokenSource(sources, nothing), TokenSource(targets, nothing)
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> np.ndarray:
        """The numbers of source tokens, ``(N,)``."""
        return self.sources.lengths

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.sources[index][0], self.targets[index][0]

    def name(self, index: int) -> str:
        return f"pair {index + 1}"


def pad_pairs(samples: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """Collate pairs to ``inputs`` ``(N, S)`` and ``targets`` ``(N, T)``, padded with 0."""
    inputs, targets = (pad_sequence(list(part), True, PAD) for part in zip(*samples, strict=True))
    return {"inputs": inputs, "targets": targets}


class PairSplit(SequenceSplit):
    """Batches of pairs, with the target texts as ``references``."""

    source: PairSource

    def __getitems__(self, keys: Sequence[Any]) -> dict[str, Any]:
        batch = super().__getitems__(keys)
        return batch | {"references": [self.source.texts[index][1] for index in batch["index"].tolist()]}


class PairsOptions(LoaderOptions, total=False):
    """Keyword arguments that subclasses forward to ``PairsDataModule``."""

    tokens: Kind
    vocab_size: int | None
    min_count: int
    lowercase: bool
    max_length: int
    batch_size: int


class PairsDataModule(DataModule):
    """Pairs of texts, with vocabularies for sources and targets.

    The vocabularies are built from the training pairs only and stored in the checkpoint.

    Args:
        tokens: the token type: byte pairs, words or characters.
        vocab_size: maximum size of each vocabulary; 4 000 byte pairs, 20 000 words or 10 000 characters when
            None.
        min_count: tokens that occur less often in the training pairs are unknown.
        lowercase: convert sources to lower case; targets are not changed.
        max_length: maximum number of tokens of a text; longer texts are truncated.
    """

    extra_facts = ("vocab_size", "num_features")
    no_folds = "it is already split into training and validation"

    def __init__(
        self,
        *,
        tokens: Kind = "bpe",
        vocab_size: Annotated[int, Gt(4)] | None = None,
        min_count: Annotated[int, Ge(1)] = 1,
        lowercase: bool = False,
        max_length: Annotated[int, Ge(2)] = 100,
        batch_size: Annotated[int, Gt(0)] = 64,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.tokens, self.vocab_size, self.min_count = tokens, vocab_size, min_count
        self.lowercase, self.max_length = lowercase, max_length
        self.tokenizers: dict[str, TextTokenizer] = {}
        self.pairs: Pairs = {}

    def read(self) -> Pairs:
        """Return all pairs, at least of ``train`` and ``val``."""
        raise TypeError(f"{type(self).__name__} does not implement read().")

    @property
    def title(self) -> str:
        """The name of the data set."""
        return "pairs"

    def source_name(self) -> str:
        """Return the origin of the pairs, for facts and messages."""
        return ""

    def check(self) -> list[str]:
        return size_problems(self.tokens, self.vocab_size)

    def setup(self, stage: str | None = None) -> None:
        """Reads and encodes the pairs, once. A prediction does not need them."""
        if self.splits or stage == "predict":
            return
        self.pairs = pairs = self.read()
        self.report_copies(pairs)
        if not self.tokenizers:
            options = (self.tokens, self.vocab_size, self.min_count)
            sources, targets = zip(*pairs["train"], strict=True)
            self.tokenizers = {
                "source": TextTokenizer.fit(sources, *options, self.lowercase),
                "target": TextTokenizer.fit(targets, *options),
            }
        splits = {
            split: PairSplit(self.encode(part, split), range(len(part)), self.seed, pad_pairs)
            for split, part in pairs.items()
        }
        self.splits = {**splits}
        text = "\0".join(f"{source}\1{target}" for part in pairs.values() for source, target in part)
        self.facts = Facts(
            task="seq2seq",
            input_shape=(int(splits["train"].lengths.max()),),
            num_outputs=len(self.tokenizers["target"]),
            **self.split_sizes(),
            name=self.title,
            source=self.source_name(),
            digest=hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
            extra={"vocab_size": len(self.tokenizers["source"]), "num_features": 0},
        )

    def encode(self, pairs: Sequence[tuple[str, str]], split: str) -> PairSource:
        """Encode pairs of a split, and count the tokens beyond ``max_length``."""
        most = self.max_length
        sides = {side: tokenizer.encode_all(texts) for (side, tokenizer), texts
                 in zip(self.tokenizers.items(), zip(*pairs, strict=True), strict=True)}  # fmt: skip
        for side, texts in sides.items():
            longer = [len(ids) - most for ids in texts if len(ids) > most]
            reason = f"the ends of {len(longer)} {side} texts longer than data.max_length={most}"
            self.dropped.add("tokens", sum(longer), reason, sum(map(len, texts)), split)
        return PairSource(
            [ids[:most] or [1] for ids in sides["source"]],
            [[BEGIN, *ids[:most], END] for ids in sides["target"]],
            list(pairs),
        )

    def report_copies(self, pairs: Pairs) -> None:
        """Log how many held-out pairs occur in an earlier split; the splits themselves are not changed."""
        seen: set[tuple[str, ...]] = set()
        counts = []
        for split, part in pairs.items():
            keys = [tuple(" ".join(text.split()) for text in pair) for pair in part]
            shared = sum(key in seen for key in keys)
            if split != "train" and shared:
                counts.append(f"{shared} of {len(part)} in {split}")
            seen.update(keys)
        if counts:
            log.warning("%s: pairs that also occur in an earlier split: %s.", self.title, ", ".join(counts))

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Reads texts: the arguments themselves, or each line of a file."""
        for path in paths:
            for _, text in text_lines(path):
                yield text, torch.tensor(self.tokenizers["source"].encode(text)[: self.max_length] or [1])

    def batch_inputs(self, inputs: Sequence[Tensor]) -> Tensor:
        return pad_sequence(list(inputs), True, PAD)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of target tokens."""
        return self.tokenizers["target"].decode(ids)

    def token(self, number: int, side: str) -> str:
        """Return one token of ``source`` or ``target`` in readable form."""
        return "end" if number == END else self.tokenizers[side].token(number).replace(" ", "·")

    def text_of(self, split: str, index: int) -> str:
        """Returns the source text of a sample."""
        return self.pairs[split][index][0]

    def state_dict(self) -> dict[str, Any]:
        return {side: tokenizer.to_json() for side, tokenizer in self.tokenizers.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the vocabularies, so that ``setup`` does not compute them.

        Raises:
            DataError: ``setup`` already computed different ones: the texts have changed.
        """
        self.reject_change(state_dict, self.title, "its vocabularies differ")
        self.tokenizers = {side: TextTokenizer.from_json(text) for side, text in state_dict.items()}
