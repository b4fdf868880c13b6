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
    """Writes ``FOLDER/INPUT_NAME.png``; of two inputs of one name the second gets a number.

    Args:
        path: made when the first picture comes. Files of an earlier prediction are written over.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._taken: set[str] = set()

    def write(self, source: str, pictures: dict[str, Image]) -> dict[str, str]:
        """Writes the pictures of one input; returns where each went, by its name.

        Raises:
            UserError: there are none, or the folder cannot be written.
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
    """One row an input: its name and what the model says.

    Args:
        inputs: what the run's data module reads: image files and folders, CSV files, …
        batch_size: inputs at a time, of which none but they are in memory; as in the run's evaluation when
            None.
        folder: where the task's pictures of its predictions go, such as masks; a row names its own.

    Raises:
        DataError: an input cannot be read; it is named.
        UserError: the folder cannot be written, or the task draws no pictures.
    """
    trained = load_trained(run, which)
    device = {"gpu": "cuda"}.get(available_accelerator(), available_accelerator())
    task, data = trained.task.to(device), trained.data
    drawn = None if folder is None else PictureFolder(folder)
    samples = iter(data.read_inputs(list(inputs)))
    rows: list[dict[str, Any]] = []
    while chunk := list(islice(samples, batch_size or data.eval_batch_size)):
        names, tensors = zip(*chunk, strict=True)
        batch = {"inputs": move_data_to_device(data.batch_inputs(tensors), torch.device(device))}
        with torch.inference_mode():
            outputs = task.predict_outputs(data.on_after_batch_transfer(batch, 0)["inputs"])
        outputs = data.in_units(outputs, tensors)
        rows_of = map(data.present, task.rows(outputs))
        found = [{"input": name} | row for name, row in zip(names, rows_of, strict=True)]
        if drawn is not None:
            for row, pictures in zip(found, task.pictures(tensors, outputs), strict=True):
                row |= drawn.write(row["input"], pictures)
        rows += found
    return rows
