"""Predictions of a run's model on new inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from runner.hardware import available_accelerator
from runner.inference.load import Which, load_trained
from runner.run.directory import RunDir

__all__ = ["predict"]


def predict(
    run: RunDir, inputs: Sequence[str], which: Which = "best", batch_size: int = 64
) -> list[dict[str, Any]]:
    """One row an input: its name and what the model says.

    Args:
        inputs: what the run's data module reads: image files and folders, CSV files, …

    Raises:
        DataError: an input cannot be read; it is named.
    """
    trained = load_trained(run, which)
    device = {"gpu": "cuda"}.get(available_accelerator(), available_accelerator())
    task, data = trained.task.to(device), trained.data
    normalize = data.normalize.to(device)
    samples = data.read_inputs(list(inputs))
    rows = []
    for first in range(0, len(samples), batch_size):
        names, tensors = zip(*samples[first : first + batch_size], strict=True)
        with torch.inference_mode():
            outputs = task.predict_outputs(normalize(torch.stack(tensors).to(device)))
        rows += [{"input": name} | row for name, row in zip(names, task.rows(outputs), strict=True)]
    return rows
