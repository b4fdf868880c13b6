"""From a sound to its log-mel spectrogram."""

from __future__ import annotations

import os
import struct
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from runner.errors import DataError

__all__ = ["LogMel", "duration", "file_problem", "read_sound"]

FLOOR = 1e-5
"""Of the power in a band: what silence has."""


def read_sound(path: str, sample_rate: int) -> Tensor:
    """A file (wav, flac, ogg …) as mono float64 samples ``(S,)`` in -1 to 1, at ``sample_rate``.

    Raises:
        DataError: it cannot be decoded, holds nothing, or has samples that are not finite.
    """
    try:
        import soundfile
    except ImportError as error:
        raise DataError("to read sounds, install the extra: pip install 'runner[audio]'.") from error
    try:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        raise DataError(f"{path} cannot be read as a sound: {error}.") from error
    if not len(samples):
        raise DataError(f"{path} holds no sound: it is 0 samples long.")
    mono = samples.mean(1)
    if not np.isfinite(mono).all():
        raise DataError(
            f"{path} has samples that are not finite (NaN or infinite). Remove or repair the file."
        )
    if rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate)
    return torch.from_numpy(mono)


def file_problem(path: str) -> str | None:
    """Why a file cannot be used, by its header alone: it cannot be decoded, is empty, or ends too early."""
    try:
        import soundfile
    except ImportError as error:
        raise DataError("to read sounds, install the extra: pip install 'runner[audio]'.") from error
    try:
        num_samples = soundfile.info(path).frames
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        return str(error).removeprefix(f"Error opening {path!r}: ").rstrip(".")
    if not num_samples:
        return "0 samples long"
    missing = missing_bytes(path)
    return f"{missing} bytes are missing at its end" if missing else None


def duration(path: str) -> tuple[float, int]:
    """Return the length of a sound in seconds and its sample rate, from its header."""
    import soundfile

    info = soundfile.info(path)
    return info.frames / info.samplerate, info.samplerate


def missing_bytes(path: str) -> int:
    """Bytes that a RIFF file lacks of the samples that its header announces.

    Programs that write to a pipe leave announcements of zero or of nearly 4 GiB, which say nothing.
    """
    with open(path, "rb") as file:
        if file.read(4) != b"RIFF":
            return 0
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, size = header[:4], struct.unpack("<I", header[4:])[0]
            if name == b"data":
                return max(0, file.tell() + size - os.path.getsize(path)) if size < 0x7FFFFF00 else 0
            file.seek(size + size % 2, os.SEEK_CUR)
    return 0


class LogMel:
    """Logarithm of the power in bands that are as wide as the ear's (Stevens et al. 1937).

    Args:
        sample_rate: of the sound, per second.
        num_mels: bands, M.
        window_s: seconds of sound in a frame.
        hop_s: seconds between two frames.
    """

    def __init__(
        self, sample_rate: int, num_mels: int = 40, window_s: float = 0.025, hop_s: float = 0.010
    ) -> None:
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
            raise DataError(
                "to make spectrograms, install the extra: pip install 'runner[audio]'."
            ) from error
        return torch.from_numpy(mel(sr=self.sample_rate, n_fft=self.num_bins, n_mels=self.num_mels)).double()

    def num_frames(self, num_samples: int) -> int:
        return 1 + num_samples // self.hop

    def __call__(self, samples: Tensor) -> Tensor:
        """``(S,)`` → float32 ``(M, frames)``.

        The frames' middles are ``hop_s`` apart, the first at the beginning.

        Computed in float64: next to a large constant offset, float32 would lose a quiet sound.
        """
        window = torch.hann_window(self.window, dtype=torch.float64)
        spectrum = torch.stft(
            samples.double(), self.num_bins, self.hop, self.window, window,
            center=True, pad_mode="constant", return_complex=True,
        )  # fmt: skip
        return (self.filters @ spectrum.abs().square() + FLOOR).log().float()
