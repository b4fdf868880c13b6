"""Predictions of a run's model for new inputs, optionally with pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from pytorch_lightning.utilities import move_data_to_device

from runner.distributed.hardware import choose_hardware
from runner.errors import UserError
from runner.inference.load import Trained, Which, load_trained
from runner.run.directory import RunDir

__all__ = ["Chunk", "PictureFolder", "predict", "predict_samples"]


class PictureFolder:
    """Writes pictures as ``FOLDER/INPUT_NAME.png``; equal names get a number.

    Args:
        path: the folder, created with the first picture; files of an earlier prediction are overwritten.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._taken: set[str] = set()

    def write(self, source: str, pictures: dict[str, Image]) -> dict[str, str]:
        """Writes the pictures of one input.

        Args:
            source: name of the input.
            pictures: pictures by name.

        Returns:
            The path of each picture by its name.

        Raises:
            UserError: the task draws no pictures, or the folder cannot be written.
        """
        if not pictures:
            raise UserError(
                f"--output {self.path}: a folder is for pictures, and this run's task draws none. "
                "Name a .json or .csv file."
            )
        stem = first = Path(source).stem
        number = 1
        while stem in self._taken:
            number += 1
            stem = f"{first}-{number}"
        self._taken.add(stem)
        files = {name: self.path / f"{stem}_{name}.png" for name in pictures}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name, picture in pictures.items():
                picture.save(files[name])
        except OSError as error:
            raise UserError(
                f"--output {self.path} cannot be written: {error.strerror}. Name another."
            ) from error
        return {name: str(file) for name, file in files.items()}


def autocast(device: str, precision: str) -> AbstractContextManager[Any]:
    """Return the context in which a model computes in the precision of its run, as Lightning does.

    Args:
        device: type of the device.
        precision: precision in Lightning's notation. fp16 is used on GPUs only.
    """
    dtype = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    if dtype is None or (dtype == torch.float16 and device != "cuda"):
        return nullcontext()
    return torch.autocast(device, dtype)


def to_float32(outputs: Any) -> Any:
    """Return nested containers whose tensors of half precision are float32, which NumPy requires."""
    if isinstance(outputs, torch.Tensor):
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
    if isinstance(outputs, dict):
        return {key: to_float32(value) for key, value in outputs.items()}
    return [to_float32(value) for value in outputs] if isinstance(outputs, list) else outputs


def predict(
    run: RunDir,
    inputs: Sequence[str],
    which: Which = "best",
    batch_size: int | None = None,
    folder: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Returns one row per input: its name and the prediction, in the precision of the run.

    Args:
        run: the run.
        inputs: inputs that the run's data module reads: image files and folders, CSV files, …
        which: the checkpoint, ``best`` or ``last``.
        batch_size: number of inputs in memory at a time; that of the run's evaluation if None.
        folder: output folder for the task's pictures of predictions, such as masks; rows contain their paths.

    Raises:
        DataError: an input cannot be read; the message contains its name.
        UserError: the folder cannot be written, or the task draws no pictures.
    """
    trained = load_trained(run, which)
    picture_folder = None if folder is None else PictureFolder(folder)
    rows: list[dict[str, Any]] = []
    for chunk in predict_samples(trained, trained.data.read_inputs(list(inputs)), batch_size):
        if picture_folder is not None:
            drawn = trained.task.pictures(chunk.inputs, chunk.outputs)
            for row, pictures in zip(chunk.rows, drawn, strict=True):
                row.update(picture_folder.write(row["input"], pictures))
        rows += chunk.rows
    return rows


@dataclass
class Chunk:
    """Predictions of some samples.

    Attributes:
        inputs: the samples before ``normalize``.
        outputs: outputs of the task, in the units of the inputs.
        rows: name and prediction of each sample.
    """

    inputs: Sequence[torch.Tensor]
    outputs: dict[str, Any]
    rows: list[dict[str, Any]]


def predict_samples(
    trained: Trained, samples: Iterable[tuple[str, torch.Tensor]], batch_size: int | None = None
) -> Iterator[Chunk]:
    """Yields predictions of samples, batch by batch, in the precision of the run.

    Args:
        trained: task and data module of the run.
        samples: name and input of each sample, before ``normalize``.
        batch_size: number of samples in memory at a time; that of the run's evaluation if None.
    """
    task, data = trained.task, trained.data
    chosen = choose_hardware(trained.config["hardware"] | {"accelerator": "auto"}, task.model)
    device = {"gpu": "cuda"}.get(chosen.accelerator, chosen.accelerator)
    task.to(device)
    if chosen.channels_last:
        task.model.to(memory_format=torch.channels_last)
        task.channels_last = True
    remaining = iter(samples)
    while taken := list(islice(remaining, batch_size or data.eval_batch_size)):
        names, tensors = zip(*taken, strict=True)
        batch = {"inputs": move_data_to_device(data.batch_inputs(tensors), torch.device(device))}
        with torch.inference_mode(), autocast(device, chosen.precision):
            outputs = task.predict_outputs(data.on_after_batch_transfer(batch, 0)["inputs"])
        outputs = to_float32(outputs)
        outputs = data.in_units(outputs, tensors)
        predictions = map(data.present, task.rows(outputs))
        rows = [{"input": name} | row for name, row in zip(names, predictions, strict=True)]
        yield Chunk(tensors, outputs, rows)
