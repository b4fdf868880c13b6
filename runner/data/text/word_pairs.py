"""Data module of pairs of neighbouring words in a continuous text, for word vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions
from runner.data.download.file import data_folder
from runner.data.facts import Facts
from runner.data.sampler import EpochBatchSampler, Share, seed_of
from runner.data.text.corpus import Corpus, TokenFileDataset, tokenizer_of, utf8_file, write_tokens
from runner.data.text.language import PythonTopicsDataModule
from runner.data.text.tokenizer import SPECIAL, UNKNOWN, TextTokenizer, fitted_tokenizer
from runner.errors import DataError
from runner.suggest import did_you_mean

__all__ = ["NeighbourSplit", "WordPairsDataModule", "uniform"]

NEGATIVE_POWER = 0.75
"""Exponent of the word frequencies with which negative samples are drawn (Mikolov et al., 2013)."""


def uniform(seed: int, epoch: int, positions: np.ndarray, num_draws: int) -> np.ndarray:
    """Return uniform random numbers ``(N, num_draws)`` that depend only on seed, epoch and position.

    Uses SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) over a counter.
    """
    start = np.uint64(seed_of(seed, "pairs", epoch))
    with np.errstate(over="ignore"):
        counter = positions.astype(np.uint64)[:, None] * np.uint64(num_draws) + np.arange(
            num_draws, dtype=np.uint64
        )
        state: np.ndarray = start + (counter + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)) / float(1 << 53)


class NeighbourSplit(TokenFileDataset):
    """Each word of a text with one context word and k negative samples.

    A batch is ``{"inputs": (N,), "targets": (N, 1 + k), "pair_weight": (N,), "index": (N,)}``: words, a
    context word followed by k words drawn by their frequencies, and the weights of the pairs. Mikolov et al.
    (arXiv:1310.4546) drop frequent words at random; here their probability of being kept is the weight, which
    is the same on average.

    Args:
        file: memory-mapped binary file of uint16 or uint32, the name of which is its suffix.
        counts: number of occurrences of each token in the training text, ``(V,)``.
        window: maximum distance of a context word; nearer words are drawn more often.
        num_negatives: k, the number of negative samples.
        frequent: words with a larger share of the text have a weight below 1.
        seed: seed of the draws.
        fixed: draw the same samples in every epoch, for validation.
    """

    def __init__(
        self,
        file: Path,
        counts: np.ndarray,
        window: int,
        num_negatives: int,
        frequent: float,
        seed: int,
        fixed: bool,
    ) -> None:
        super().__init__(file)
        self.window, self.num_negatives, self.seed, self.fixed = window, num_negatives, seed, fixed
        counts = counts.astype(np.float64).copy()
        counts[: len(SPECIAL)] = 0
        share = counts / counts.sum()
        self.keep = np.where(counts > 0, np.minimum(1.0, np.sqrt(frequent / np.maximum(share, 1e-12))), 0.0)
        self.mean_weight = float(share @ self.keep) ** 2
        self.ladder = np.cumsum(share**NEGATIVE_POWER)
        self.ladder /= self.ladder[-1]

    def __len__(self) -> int:
        return self.num_tokens if self.num_tokens > 1 else 0

    def name(self, index: int) -> str:
        """Return the name of a sample in messages."""
        return f"word {index + 1}"

    def batch_sampler(self, batch_size: int, **options: Any) -> EpochBatchSampler:
        """Return the batch sampler of the split."""
        return EpochBatchSampler(len(self), batch_size, **options)

    def sample(self, epoch: int, position: int) -> tuple[Tensor, Tensor]:
        """Return a word and its targets ``(1 + k,)``."""
        batch = self.__getitems__([(epoch, position)])
        return batch["inputs"][0], batch["targets"][0]

    def __getitem__(self, key: Any) -> tuple[Tensor, Tensor]:
        return self.sample(*key) if isinstance(key, tuple) else self.sample(0, key)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        positions = np.array([position for _, position in keys])
        epoch = 0 if self.fixed else keys[0][0]
        draws = uniform(self.seed, epoch, positions, 3 + self.num_negatives)
        reach = 1 + np.floor(draws[:, 0] * self.window)
        away = (1 + np.floor(draws[:, 1] * reach)).astype(np.int64) * np.where(draws[:, 2] < 0.5, -1, 1)
        away = np.where((positions + away < 0) | (positions + away >= self.num_tokens), -away, away)
        words = self.tokens[positions].astype(np.int64)
        near = self.tokens[np.clip(positions + away, 0, self.num_tokens - 1)].astype(np.int64)
        far = np.searchsorted(self.ladder, draws[:, 3:], side="right")
        weight = self.keep[words] * self.keep[near] / self.mean_weight
        batch: dict[str, Any] = {
            "inputs": torch.from_numpy(words),
            "targets": torch.from_numpy(np.concatenate([near[:, None], far], 1)),
            "pair_weight": torch.from_numpy(weight).float(),
            "index": torch.from_numpy(positions),
        }
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch


class WordPairsDataModule(DataModule):
    """Words of a text and their context, for skip-gram word vectors (Mikolov et al., arXiv:1301.3781).

    Token ids are memory-mapped: the text may be larger than memory.

    Args:
        path: the text; the language reference included in Python when None.
        encoding: encoding of the file, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are
            detected when None.
        vocab_size: maximum number of words with a vector, the most frequent ones.
        min_count: words that occur less often have no vector.
        window: maximum distance of a context word.
        num_negatives: negative samples per context word.
        frequent: words with a larger share of the text have a lower weight.
        val_fraction, test_fraction: fractions of the text, at its end.
        data_dir: folder of token files; see ``runner.data.download.file.data_folder``.

    Attributes:
        tokenizer: available after ``setup`` or ``load_state_dict``.
    """

    splits: dict[str, NeighbourSplit]  # type: ignore[assignment]  # pairs have no source of samples
    extra_facts = ("vocab_size",)
    no_folds = "it is one continuous text, read in order"

    def __init__(
        self,
        path: str | None = None,
        *,
        vocab_size: Annotated[int, Gt(4)] = 20_000,
        min_count: Annotated[int, Ge(1)] = 5,
        window: Annotated[int, Ge(1)] = 5,
        num_negatives: Annotated[int, Ge(1)] = 5,
        frequent: Annotated[float, Gt(0), Lt(1)] = 1e-3,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.05,
        test_fraction: Annotated[float, Ge(0), Lt(0.5)] = 0.05,
        data_dir: str | None = None,
        encoding: str | None = None,
        batch_size: Annotated[int, Gt(0)] = 512,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.path = Path(path).expanduser() if path else None
        self.encoding = encoding
        self.vocab_size, self.min_count = vocab_size, min_count
        self.window, self.num_negatives, self.frequent = window, num_negatives, frequent
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.data_dir = data_dir
        self.tokenizer: TextTokenizer | None = None

    @property
    def file(self) -> Path:
        """The text file."""
        return self.path or PythonTopicsDataModule(data_dir=self.data_dir).file

    def check(self) -> list[str]:
        if self.path and not self.path.is_file():
            return [f"data.path={self.path}: no such file; expected a text."]
        return []

    def prepare_data(self) -> None:
        if self.path is None:
            PythonTopicsDataModule(data_dir=self.data_dir).prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Builds the vocabulary and writes the token files, unless they exist."""
        if self.splits or (stage == "predict" and self.tokenizer is not None):
            return
        folder = data_folder(self.data_dir) / "tokens"
        corpus = Corpus.of(utf8_file(self.file, folder, self.encoding), self.val_fraction, self.test_fraction)
        if self.tokenizer is None:
            self.tokenizer = tokenizer_of(
                corpus,
                folder,
                kind="word",
                max_size=self.vocab_size,
                min_count=self.min_count,
                lowercase=True,
            )
        files = {
            part: write_tokens(corpus, part, self.tokenizer, folder) for part in ("train", "val", "test")
        }
        train = np.memmap(files["train"], dtype=files["train"].suffix[1:], mode="r")
        counts = count_tokens(train, len(self.tokenizer))
        self.dropped.add(
            "training words",
            int(counts[UNKNOWN]),
            f"rarer than data.min_count={self.min_count} or beyond data.vocab_size={self.vocab_size}",
            int(counts.sum()),
            self.file,
        )
        for part, file in files.items():
            num_tokens = file.stat().st_size // np.dtype(file.suffix[1:]).itemsize
            if num_tokens < 2 and part != "test":
                raise DataError(
                    f"{self.file}: the {part} part has {num_tokens} words; two or more are needed. Give "
                    "more text."
                )
            if num_tokens > 1:
                self.splits[part] = NeighbourSplit(
                    file,
                    counts,
                    self.window,
                    self.num_negatives,
                    self.frequent,
                    self.seed,
                    fixed=part != "train",
                )
        self.facts = Facts(
            task="word_vectors",
            input_shape=(),
            num_outputs=len(self.tokenizer),
            **self.split_sizes(),
            name=self.file.stem,
            source=str(self.file.absolute()),
            digest=corpus.digest,
            extra={"vocab_size": len(self.tokenizer)},
        )

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Reads words that have a vector.

        Raises:
            DataError: a word has no vector; the message names the most similar word.
        """
        for word in paths:
            (number, *more) = fitted_tokenizer(self.tokenizer).encode(word) or [UNKNOWN]
            if more or number == UNKNOWN:
                raise DataError(f"{word!r} has no vector of its own. {did_you_mean(word, self.words())}")
            yield word, torch.tensor(number)

    def words(self) -> list[str]:
        """Return the words of the vocabulary by id, the most frequent ones first."""
        tokenizer = fitted_tokenizer(self.tokenizer)
        return [tokenizer.token(number) for number in range(len(SPECIAL), len(tokenizer))]

    def present(self, row: dict[str, Any]) -> dict[str, Any]:
        """Returns a row of a prediction with words instead of ids."""
        tokenizer = fitted_tokenizer(self.tokenizer)
        return row | {"nearest": ", ".join(tokenizer.token(number) for number in row["nearest"])}

    def state_dict(self) -> dict[str, Any]:
        return {} if self.tokenizer is None else {"tokenizer": self.tokenizer.to_json()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the vocabulary, so that ``setup`` does not compute it.

        Raises:
            DataError: ``setup`` already computed a different one: the text has changed.
        """
        self.reject_change(state_dict, str(self.file), "its vocabulary differs")
        self.tokenizer = TextTokenizer.from_json(state_dict["tokenizer"])


def count_tokens(tokens: np.ndarray, num_kinds: int, piece: int = 1 << 22) -> np.ndarray:
    """Return the number of occurrences of each token, ``(V,)``; a memory map is read in pieces."""
    counts = np.zeros(num_kinds, dtype=np.int64)
    for begin in range(0, len(tokens), piece):
        counts += np.bincount(tokens[begin : begin + piece], minlength=num_kinds)
    return counts
