"""Labelled sound files as the source of splits, and how their spectrograms are made alike in length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runner.data.audio.spectrogram import FLOOR, LogMel, read_sound

__all__ = ["Frames", "SoundSource"]

SILENCE = math.log(FLOOR)


class SoundSource:
    """Sound files of any length, decoded when asked for.

    Args:
        root: the folder the paths are relative to.
        targets: class ids, ``(N,)``.
    """

    def __init__(self, root: Path, paths: Sequence[str], targets: Tensor, log_mel: LogMel) -> None:
        self.root = root
        self.paths = list(paths)
        self.targets = targets
        self.log_mel = log_mel

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """The spectrogram ``(M, frames)`` and its class id.

        Raises:
            DataError: the file cannot be read; the message names it.
        """
        path = str(self.root / self.paths[index])
        return self.log_mel(read_sound(path, self.log_mel.sample_rate)), self.targets[index]

    def name(self, index: int) -> str:
        return self.paths[index]


class Frames:
    """Spectrograms of any length to ``num_frames``.

    Images show the middle of longer ones, and silence around shorter ones; sequences the beginning of longer
    ones.

    Args:
        as_sequence: steps for a recurrent network ``(T, M)``, NaN after the last one, instead of an image
            ``(1, M, T)``.
        shift: in training, up to this share of the frames earlier or later.
        num_masks: in training, bands of up to an eighth of the frames, and as many of the frequencies, that
            are made the mean (SpecAugment; Park et al., arXiv:1904.08779).
    """

    def __init__(self, num_frames: int, as_sequence: bool, shift: float = 0.0, num_masks: int = 0) -> None:
        self.num_frames = num_frames
        self.as_sequence = as_sequence
        self.shift = shift
        self.num_masks = num_masks

    def __call__(self, spectrogram: Tensor, target: Any = None) -> tuple[Tensor, Any]:
        spectrogram = self.masked(spectrogram)
        moved = round((2 * float(torch.rand(())) - 1) * self.shift * self.num_frames) if self.shift else 0
        num_frames = spectrogram.shape[1]
        if self.as_sequence:
            kept = spectrogram[:, max(0, moved) if num_frames > abs(moved) + 1 else 0 :][:, : self.num_frames]
            steps = torch.full((self.num_frames, len(kept)), float("nan"))
            steps[: kept.shape[1]] = kept.T
            return steps, target
        image = torch.full((1, len(spectrogram), self.num_frames), SILENCE)
        begin = (self.num_frames - num_frames) // 2 + moved
        first, last = max(0, begin), min(self.num_frames, begin + num_frames)
        if last > first:
            image[0, :, first:last] = spectrogram[:, first - begin : last - begin]
        return image, target

    def masked(self, spectrogram: Tensor) -> Tensor:
        if not self.num_masks:
            return spectrogram
        spectrogram, mean = spectrogram.clone(), spectrogram.mean()
        for _ in range(self.num_masks):
            for dim in (0, 1):
                size = spectrogram.shape[dim]
                width = int(torch.randint(0, size // 8 + 1, ()))
                begin = int(torch.randint(0, size - width + 1, ()))
                spectrogram.narrow(dim, begin, width).fill_(mean)
        return spectrogram
