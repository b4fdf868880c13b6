"""From a sound to its log-mel spectrogram."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from runner.errors import DataError

__all__ = ["LogMel", "read_sound"]

FLOOR = 1e-5
"""Of the power in a band: what silence has."""


def read_sound(path: str, sample_rate: int) -> Tensor:
    """A file (wav, flac, ogg …) as mono float32 samples ``(S,)`` in -1 to 1, at ``sample_rate``.

    Raises:
        DataError: it cannot be decoded, or holds nothing.
    """
    try:
        import soundfile
    except ImportError as error:
        raise DataError("to read sounds, install the extra: pip install 'runner[audio]'.") from error
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise DataError(f"{path} cannot be read as a sound: {error}.") from error
    if not len(samples):
        raise DataError(f"{path} holds no sound: it is 0 samples long.")
    mono = samples.mean(1)
    if rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate)
    return torch.from_numpy(mono)


class LogMel:
    """Logarithm of the power in bands that are as wide as the ear's (Stevens et al. 1937).

    Args:
        sample_rate: of the sound, per second.
        num_mels: bands, M.
        window_s: seconds of sound in a frame.
        hop_s: seconds between two frames.
    """

    def __init__(self, sample_rate: int, num_mels: int = 40, window_s: float = 0.025, hop_s: float = 0.010):
        self.sample_rate = sample_rate
        self.num_mels = num_mels
        self.window = round(window_s * sample_rate)
        self.hop = round(hop_s * sample_rate)
        self.num_bins = 1 << (self.window - 1).bit_length()

    @cached_property
    def filters(self) -> Tensor:
        """``(M, bins)``."""
        try:
            from librosa.filters import mel
        except ImportError as error:
            raise DataError("to make spectrograms, install the extra: pip install 'runner[audio]'.") from error
        return torch.from_numpy(mel(sr=self.sample_rate, n_fft=self.num_bins, n_mels=self.num_mels))

    def num_frames(self, num_samples: int) -> int:
        return 1 + num_samples // self.hop

    def __call__(self, samples: Tensor) -> Tensor:
        """``(S,)`` → ``(M, frames)``; the frames' middles are ``hop_s`` apart, the first at the beginning."""
        window = torch.hann_window(self.window)
        spectrum = torch.stft(
            samples, self.num_bins, self.hop, self.window, window, center=True, pad_mode="constant", return_complex=True
        )
        return (self.filters @ spectrum.abs().square() + FLOOR).log()
