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
from runner.inference.generate import encode_prompt, prompts_of
from runner.inference.load import Trained
from runner.run.directory import RunDir
from runner.tasks.base import Task
from runner.tasks.language import LanguageTask

__all__ = ["Sample", "given_samples", "load_split", "split_samples"]

USUAL = 8
"""The default number of samples."""
LOOKED_AT = 1000
"""Number of evenly spread samples among which the worst are searched."""


@dataclass(frozen=True)
class Sample:
    """
    Attributes:
        raw: the sample of the data module, before ``normalize``.
        target: the true target, if known.
    """

    name: str
    raw: Tensor
    target: Any = None


def given_samples(trained: Trained, inputs: Sequence[str]) -> Iterator[Sample]:
    """Reads inputs like ``runner predict``; for language models, each input is a text or a text file.

    Raises:
        DataError: an input cannot be read; the message contains its name.
        UserError: an input contains no token known to the language model.
    """
    if isinstance(trained.task, LanguageTask):
        for name, text in prompts_of(inputs):
            yield Sample(name, torch.tensor(encode_prompt(trained.data, text, "INPUT")))
        return
    for name, raw in trained.data.read_inputs(list(inputs)):
        yield Sample(name, raw)


def load_split(data: DataModule, split: str, run: RunDir) -> Any:
    """Loads a split of the run's data without augmentation.

    Raises:
        UserError: the split does not exist.
    """
    data.prepare_data()
    data.setup("fit")
    if not len(data.splits.get(split, ())):
        data.setup("test")
    if not len(data.splits.get(split, ())):
        there = ", ".join(name for name in ("train", "val", "test") if len(data.splits.get(name, ())))
        raise UserError(
            f"the data of {run.name} has no {split} split; it has {there}. Choose one with --split."
        )
    return data.as_held_out(split)


def split_samples(trained: Trained, wish: ExplainOptions, run: RunDir) -> list[Sample]:
    """Selects samples of a split, either evenly spread or with the highest loss.

    Raises:
        UserError: the split does not exist.
    """
    part, wanted = load_split(trained.data, wish.split, run), wish.samples or USUAL
    places = (
        worst_places(trained.task, trained.data, part, wanted) if wish.worst else spread(len(part), wanted)
    )
    return [Sample(name_of(part, place), *part.sample(0, place)) for place in places]


def name_of(part: Any, place: int) -> str:
    return part.name(int(part.indices[place]) if hasattr(part, "indices") else place)


def spread(length: int, wanted: int) -> list[int]:
    return np.unique(np.linspace(0, length - 1, min(wanted, length)).round().astype(int)).tolist()


def worst_places(task: Task, data: DataModule, part: Any, wanted: int) -> list[int]:
    """Returns the positions of the samples with the highest loss, in descending order."""
    places = spread(len(part), LOOKED_AT)
    losses = [loss_of(task, data, part, place) for place in places]
    order = np.argsort([-loss for loss in losses], kind="stable")[:wanted]
    return [places[number] for number in order]


@torch.no_grad()
def loss_of(task: Task, data: DataModule, part: Any, place: int) -> float:
    """Computes the loss of one sample, with a fixed seed for detectors that sample regions."""
    batch = data.transfer_batch_to_device(part.__getitems__([(0, place)]), task.device, 0)
    with torch.random.fork_rng():
        torch.manual_seed(place)
        return float(task.eval_step(data.on_after_batch_transfer(batch, 0)).loss)
