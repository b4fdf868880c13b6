"""Predictions of a run's model for new inputs, optionally with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from pytorch_lightning.utilities import move_data_to_device

from runner.distributed.hardware import available_accelerator
from runner.errors import UserError
from runner.inference.load import Which, load_trained
from runner.run.directory import RunDir

__all__ = ["PictureFolder", "predict"]


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


def predict(
    run: RunDir,
    inputs: Sequence[str],
    which: Which = "best",
    batch_size: int | None = None,
    folder: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Returns one row per input: its name and the prediction.

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
    device = {"gpu": "cuda"}.get(available_accelerator(), available_accelerator())
    task, data = trained.task.to(device), trained.data
    picture_folder = None if folder is None else PictureFolder(folder)
    samples = iter(data.read_inputs(list(inputs)))
    rows: list[dict[str, Any]] = []
    while chunk := list(islice(samples, batch_size or data.eval_batch_size)):
        names, tensors = zip(*chunk, strict=True)
        batch = {"inputs": move_data_to_device(data.batch_inputs(tensors), torch.device(device))}
        with torch.inference_mode():
            outputs = task.predict_outputs(data.on_after_batch_transfer(batch, 0)["inputs"])
        outputs = data.in_units(outputs, tensors)
        predictions = map(data.present, task.rows(outputs))
        batch_rows = [{"input": name} | row for name, row in zip(names, predictions, strict=True)]
        if picture_folder is not None:
            for row, pictures in zip(batch_rows, task.pictures(tensors, outputs), strict=True):
                row.update(picture_folder.write(row["input"], pictures))
        rows += batch_rows
    return rows
