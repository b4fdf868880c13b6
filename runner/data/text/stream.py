"""A running text in windows: several streams side by side, each read from its beginning to its end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.data.sampler import EpochBatchSampler, Share
from runner.data.text.corpus import TokenFileDataset

__all__ = ["StreamSampler", "StreamSplit"]


class StreamSampler(EpochBatchSampler):
    """Batches of keys ``(epoch, (first token, end, whether a stream begins))``.

    The text is cut into ``batch_size`` streams of one length; batch k holds the k-th window of each, so that
    a recurrent state can be carried from batch to batch. With several ranks each keeps its streams.

    Args:
        num_tokens: of the text; the last one is only a target. Fewer than ``batch_size`` at the end are left
            out.
        window: tokens of a stream in a batch.
    """

    def __init__(self, num_tokens: int, window: int, batch_size: int, **options: Any) -> None:
        self.length = (num_tokens - 1) // batch_size
        self.window = window
        super().__init__(batch_size * math.ceil(self.length / window), batch_size, **options)

    def __len__(self) -> int:
        return self.length // self.window if self.drop_last else math.ceil(self.length / self.window)

    def some(self, most: int) -> list[list[tuple[int, Any]]]:
        """The first windows of all streams, for a state is carried from each to the next; ``most`` in all."""
        batches = list(islice(self._batches(0, 0), max(1, most // self.batch_size)))
        return [keys[:most] for keys in batches]

    def _batches(self, epoch: int, first: int) -> Iterator[list[tuple[int, Any]]]:
        for number in range(first, len(self)):
            begin = number * self.window
            end = min(begin + self.window, self.length)
            streams = (stream * self.length for stream in range(self.batch_size))
            yield self.share([(epoch, (start + begin, start + end, number == 0)) for start in streams])


class StreamSplit(TokenFileDataset):
    """Windows of a file of token ids and, as targets, the same one token further.

    A batch is ``{"inputs": (N, T), "targets": (N, T), "index": (N,), "first": bool, "num_chars": int}``:
    whether its streams begin there, and how many characters the targets stand for.

    Args:
        file: of uint16 or uint32, as its suffix says.
        window: tokens.
        num_chars: of each token of the vocabulary.
        chars: the characters of each token of the text, if the vocabulary alone does not give them: a file as
            of ``write_char_counts``.
    """

    def __init__(self, file: Path, window: int, num_chars: np.ndarray, chars: Path | None = None) -> None:
        super().__init__(file)
        self.window, self.num_chars = window, num_chars
        self.chars = TokenFileDataset(chars) if chars else None

    def __len__(self) -> int:
        return max(self.num_tokens - 1, 0) // self.window

    def name(self, index: int) -> str:
        return f"token {index}"

    def batch_sampler(self, batch_size: int, **options: Any) -> StreamSampler:
        return StreamSampler(self.num_tokens, self.window, batch_size, **options | {"shuffle": False})

    def place(self, position: Any) -> tuple[int, int, bool]:
        """Returns first token, last token + 1, and whether a stream begins there. A plain number is the index
        of a window that is read independently of the others.
        """
        if isinstance(position, tuple):
            return position
        return position * self.window, (position + 1) * self.window, True

    def sample(self, epoch: int, position: Any) -> tuple[Tensor, Tensor]:
        begin, end, _ = self.place(position)
        tokens = torch.from_numpy(self.tokens[begin : end + 1].astype(np.int64))
        return tokens[:-1], tokens[1:]

    def __getitem__(self, key: Any) -> tuple[Tensor, Tensor]:
        return self.sample(*key) if isinstance(key, tuple) else self.sample(0, key)

    def __getitems__(self, keys: Sequence[tuple[int, Any]]) -> dict[str, Any]:
        places = [self.place(position) for _, position in keys]
        rows = [self.tokens[begin : end + 1] for begin, end, _ in places]
        tokens = torch.from_numpy(np.stack(rows).astype(np.int64))
        batch = {
            "inputs": tokens[:, :-1],
            "targets": tokens[:, 1:],
            "index": torch.tensor([begin for begin, _, _ in places]),
            "first": places[0][2],
            "num_chars": self.count_chars(places, tokens[:, 1:]),
        }
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch

    def count_chars(self, places: Sequence[tuple[int, int, bool]], targets: Tensor) -> int:
        """Characters of the original text that the targets stand for."""
        if self.chars is None:
            return int(self.num_chars[targets.numpy()].sum())
        return sum(
            int(self.chars.tokens[begin + 1 : end + 1].sum(dtype=np.int64)) for begin, end, _ in places
        )
