"""Sounds in folders: one folder per class, or the class in the file's name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from runner.data.audio.layout import Layout, sound_files
from runner.data.audio.source import Frames, SoundSource
from runner.data.audio.spectrogram import LogMel, duration, file_problem, read_sound
from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts
from runner.data.measurements import Measurements, spread
from runner.data.split import Split
from runner.data.standardize import Standardize
from runner.errors import DataError

__all__ = ["AudioFolderDataModule"]

NUM_MEASURED = 500
"""Number of training sounds that are read for the mean and standard deviation."""


class AudioFolderDataModule(DataModule):
    """Sounds as log-mel spectrograms: images for a convolutional network, or steps for a recurrent one.

    Args:
        root: the folder: ``ROOT/CLASS/SOUND``, or the same below split folders (``train``, ``val``, ``test``
            and the other names in ``runner.data.class_folders``); or files whose name says the class, with
            ``file_pattern``.
        file_pattern: a regular expression of file names in ``root`` itself, with a group ``label``.
        test_pattern: a regular expression of the file names of the test split.
        layout: ``image`` gives ``(1, M, T)``, ``sequence`` ``(T, M)``, where shorter sounds have fewer steps.
        sample_rate: samples per second; sounds with another rate are resampled.
        seconds: length of a sample; longer sounds are cut, shorter ones padded.
        num_mels: M, the number of mel bands.
        window_s, hop_s: length of a frame, and distance between frames, in seconds.
        shift: in training, maximum time shift as a fraction of ``seconds``.
        num_masks: in training, number of masked bands of time and of frequency.
        val_fraction, test_fraction: fractions of all sounds, stratified by class, without split folders or
            patterns.
        split_seed: seed of the split.
        hint: where the sounds can be obtained, for the message when they are missing.
    """

    extra_facts = ("num_features", "vocab_size", "per_step", "sample_rate")
    lower_origin = True
    groups_by = "name"

    def __init__(
        self,
        root: str | None = None,
        *,
        file_pattern: str | None = None,
        test_pattern: str | None = None,
        layout: Literal["image", "sequence"] = "image",
        sample_rate: Annotated[int, Gt(0)] = 16000,
        seconds: Annotated[float, Gt(0)] = 1.0,
        num_mels: Annotated[int, Ge(4)] = 40,
        window_s: Annotated[float, Gt(0)] = 0.025,
        hop_s: Annotated[float, Gt(0)] = 0.010,
        shift: Annotated[float, Ge(0), Le(0.5)] = 0.1,
        num_masks: Annotated[int, Ge(0), Le(8)] = 1,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.1,
        test_fraction: Annotated[float, Ge(0), Lt(0.5)] = 0.1,
        split_seed: Annotated[int, Ge(0)] = 0,
        hint: str = "",
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.root = root
        self.sounds = Layout(file_pattern, test_pattern)
        self.layout = layout
        self.seconds = seconds
        self.log_mel = LogMel(sample_rate, num_mels, window_s, hop_s)
        num_frames = self.log_mel.num_frames(round(seconds * sample_rate))
        self.train_frames = Frames(num_frames, layout == "sequence", shift, num_masks)
        self.frames = Frames(num_frames, layout == "sequence")
        self.val_fraction, self.test_fraction, self.split_seed = val_fraction, test_fraction, split_seed
        self.hint = hint
        self.measured: list[float] = []

    def check(self) -> list[str]:
        if not self.root:
            return [
                f"data.root is not set: name the folder of the sounds with data.root=FOLDER. "
                f"{self.hint}".rstrip()
            ]
        try:
            self.sounds.find(Path(self.root).expanduser())
        except DataError as error:
            return [f"{error} {self.hint}".rstrip()]
        return []

    def setup(self, stage: str | None = None) -> None:
        """Lists the folder and measures some of its training sounds, once."""
        if self.splits or (stage == "predict" and self.measured):
            return
        root = Path(self.root or "").expanduser()
        found = self.sounds.find(root, self.dropped)
        check_files(root, found.paths)
        source = SoundSource(root, found.paths, torch.tensor(found.targets), self.log_mel)
        self.splits = {
            split: Split(source, indices, self.train_frames if split == "train" else self.frames, self.seed)
            for split, indices in self.cut(found.splits, source).items()
            if len(indices)
        }
        if lacking := [split for split in ("train", "val") if split not in self.splits]:
            raise DataError(
                f"{root} has {len(found.paths)} sounds: none is left for {' and '.join(lacking)} with "
                f"data.val_fraction={self.val_fraction:g} and data.test_fraction={self.test_fraction:g}. "
                "Add sounds, or "
                "change the fractions."
            )
        self.report_shared_names()
        if not self.measured:
            self._use(self.measure(source))
        counts = torch.bincount(
            source.targets[self.splits["train"].indices], minlength=len(found.class_names)
        )
        frames, mels = self.frames.num_frames, self.log_mel.num_mels
        is_sequence = self.layout == "sequence"
        listing = "".join(f"{path}\0{(root / path).stat().st_size}\n" for path in found.paths)
        self.facts = Facts(
            task="classification",
            input_shape=(frames, mels) if is_sequence else (1, mels, frames),
            num_outputs=len(found.class_names),
            class_names=found.class_names,
            class_counts=counts.tolist(),
            **self.split_sizes(),
            name=root.absolute().name,
            source=str(root.absolute()),
            digest=hashlib.blake2b(listing.encode(), digest_size=16).hexdigest(),
            extra={
                "num_features": mels,
                "vocab_size": 0,
                "per_step": False,
                "sample_rate": self.log_mel.sample_rate,
            },
        )

    def cut(self, splits: dict[str, list[int]], source: SoundSource) -> dict[str, Tensor]:
        """Indices of each split: what the layout says, the rest cut at random."""
        targets = source.targets
        rest = torch.tensor(splits["train"])
        test_fraction = 0.0 if splits["test"] else self.test_fraction
        val_fraction = 0.0 if splits["val"] else self.val_fraction
        names = [source.name(index) for index in rest.tolist()]
        parts = self.split_names(names, val_fraction, test_fraction, self.split_seed, targets[rest])
        train, val, test = (rest[part] for part in parts)
        if not splits["val"]:
            train, val = self.fold(train, val, targets, source.name)
        cut = {"train": train, "val": val, "test": test}
        return cut | {name: torch.tensor(splits[name]) for name in ("val", "test") if splits[name]}

    def measure(self, source: SoundSource) -> list[float]:
        """Mean and deviation of the training sounds' spectrograms, as they are read for validation."""
        indices = self.splits["train"].indices
        chosen = indices[torch.linspace(0, len(indices) - 1, min(NUM_MEASURED, len(indices))).long()]
        sums = torch.zeros(3, dtype=torch.float64)
        for index in chosen.tolist():
            values = self.frames(source[index][0])[0].double()
            values = values[~values.isnan()]
            sums += torch.stack([torch.tensor(float(len(values))), values.sum(), values.square().sum()])
        mean = sums[1] / sums[0]
        return [float(mean), float((sums[2] / sums[0] - mean**2).clamp(min=0).sqrt())]

    def measurements(self) -> Measurements:
        train = self.splits["train"]
        files = [Path(self.root or "").expanduser() / train.name(index) for index in spread(len(train), 1000)]
        seconds, rates = zip(*(duration(str(file)) for file in files), strict=True)
        return Measurements("sound", seconds=np.array(seconds), sample_rates=np.array(rates))

    def _use(self, measured: Sequence[float]) -> None:
        self.measured = list(measured)
        mean, std = self.measured
        spatial = 0 if self.layout == "sequence" else 2
        self.normalize = Standardize([mean], [std], num_spatial_dims=spatial)

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Sound files, and all those in folders.

        Raises:
            DataError: a path that is not there, or a file that cannot be read.
        """
        return (
            (str(file), self.read(str(file)))
            for path in paths
            for file in sound_files(Path(path).expanduser())
        )

    def read(self, path: str) -> Tensor:
        return self.frames(self.log_mel(read_sound(path, self.log_mel.sample_rate)))[0]

    def picture(self, image: Tensor, target: int) -> tuple[Tensor, str]:
        """Returns the spectrogram in gray, low frequencies at the bottom."""
        assert self.facts is not None
        values = image[0] if self.layout == "image" else image.T
        values = values.nan_to_num(float(values[~values.isnan()].min()))
        grey = (values - values.min()) / (values.max() - values.min()).clamp(min=1e-6)
        return (255 * grey.flip(0)).to(torch.uint8)[None], self.facts.class_names[int(target)]

    def state_dict(self) -> dict[str, list[float]]:
        return {"measured": self.measured}

    def load_state_dict(self, state_dict: dict[str, list[float]]) -> None:
        self._use(state_dict["measured"])


def check_files(root: Path, paths: Sequence[str]) -> None:
    """Checks files by their headers.

    Raises:
        DataError: files that cannot be decoded, are empty or end too early; by their headers alone.
    """
    problems = [f"{path} ({problem})" for path in paths if (problem := file_problem(str(root / path)))]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DataError(
            f"{root}: {len(problems)} of {len(paths)} sounds cannot be used: "
            f"{', '.join(problems[:3])}{more}. Remove or "
            "repair them."
        )
