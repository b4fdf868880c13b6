"""Selection of the samples to explain: given inputs or samples of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from runner.data.base import DataModule
from runner.errors import UserError
from runner.explain.options import ExplainOptions
from runner.inference.load import Trained
from runner.run.directory import RunDir
from runner.tasks.base import Task

__all__ = ["Sample", "given_samples", "load_split", "split_samples", "worst_positions"]

DEFAULT_SAMPLES = 8
MAX_SEARCHED = 1000
"""Number of evenly spread samples among which the worst are searched."""


@dataclass(frozen=True)
class Sample:
    """An input to explain.

    Attributes:
        name: name of the input or of the sample.
        raw: the sample of the data module, before ``normalize``.
        target: the true target, if known.
    """

    name: str
    raw: Tensor
    target: Any = None


def given_samples(trained: Trained, inputs: Sequence[str]) -> Iterator[Sample]:
    """Reads inputs as the task defines; by default like ``runner predict``.

    Args:
        trained: task and data module of the run.
        inputs: file names, folders or texts.

    Raises:
        DataError: an input cannot be read; the message contains its name.
        UserError: an input is not suitable for the model.
    """
    for name, raw in trained.task.read_inputs(trained.data, inputs):
        yield Sample(name, raw)


def load_split(data: DataModule, split: str, run: RunDir) -> Any:
    """Loads a split of the run's data without augmentation.

    Args:
        data: the run's data module.
        split: ``train``, ``val`` or ``test``.
        run: the run, for the message.

    Raises:
        UserError: the split does not exist.
    """
    data.prepare_data()
    data.setup("fit")
    if not len(data.splits.get(split, ())):
        data.setup("test")
    if not len(data.splits.get(split, ())):
        existing = ", ".join(name for name in ("train", "val", "test") if len(data.splits.get(name, ())))
        raise UserError(
            f"the data of {run.name} has no {split} split; it has {existing}. Choose one with --split."
        )
    return data.as_held_out(split)


def split_samples(trained: Trained, options: ExplainOptions, run: RunDir) -> list[Sample]:
    """Selects samples of a split, either evenly spread or with the highest loss.

    Args:
        trained: task and data module of the run.
        options: split and number of samples.
        run: the run, for messages.

    Raises:
        UserError: the split does not exist.
    """
    split, count = load_split(trained.data, options.split, run), options.samples or DEFAULT_SAMPLES
    if options.worst:
        positions = worst_positions(trained.task, trained.data, split, count)
    else:
        positions = spread_positions(len(split), count)
    return [Sample(name_at(split, position), *split.sample(0, position)) for position in positions]


def name_at(split: Any, position: int) -> str:
    """Returns the name of the sample at a position of a split."""
    return split.name(int(split.indices[position]) if hasattr(split, "indices") else position)


def spread_positions(length: int, count: int) -> list[int]:
    """Returns at most ``count`` positions spread evenly over ``range(length)``."""
    return np.unique(np.linspace(0, length - 1, min(count, length)).round().astype(int)).tolist()


def worst_positions(task: Task, data: DataModule, split: Any, count: int) -> list[int]:
    """Returns the positions of the samples with the highest loss, in descending order."""
    positions = spread_positions(len(split), MAX_SEARCHED)
    losses = [loss_at(task, data, split, position) for position in positions]
    order = np.argsort([-loss for loss in losses], kind="stable")[:count]
    return [positions[index] for index in order]


@torch.no_grad()
def loss_at(task: Task, data: DataModule, split: Any, position: int) -> float:
    """Computes the loss of one sample, with a fixed seed for detectors that sample regions."""
    batch = data.transfer_batch_to_device(split.__getitems__([(0, position)]), task.device, 0)
    with torch.random.fork_rng():
        torch.manual_seed(position)
        return float(task.eval_step(data.on_after_batch_transfer(batch, 0)).loss)
