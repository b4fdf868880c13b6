"""What is explained: inputs that are given, or samples of a split."""

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
from runner.inference.prompt import encode_prompt, prompts_of
from runner.run.directory import RunDir
from runner.tasks.base import Task
from runner.tasks.language import LanguageTask

__all__ = ["Sample", "given_samples", "load_split", "split_samples"]

USUAL = 8
"""The default number of samples."""
LOOKED_AT = 1000
"""The worst samples are searched among this number, evenly spread over the split."""


@dataclass(frozen=True)
class Sample:
    """
    Attributes:
        raw: as the data module gives it, before ``normalize``.
        target: the truth, where it is known.
    """

    name: str
    raw: Tensor
    target: Any = None


def given_samples(trained: Trained, inputs: Sequence[str]) -> Iterator[Sample]:
    """Inputs as ``runner predict`` reads them; to a language model each is a text, or a file of one.

    Raises:
        DataError: an input cannot be read; it is named.
        UserError: a language model never saw anything of it.
    """
    if isinstance(trained.task, LanguageTask):
        for name, text in prompts_of(inputs):
            yield Sample(name, torch.tensor(encode_prompt(trained.data, text, "INPUT")))
        return
    for name, raw in trained.data.read_inputs(list(inputs)):
        yield Sample(name, raw)


def load_split(data: DataModule, split: str, run: RunDir) -> Any:
    """A split of the run's own data, none of it augmented.

    Raises:
        UserError: the split does not exist.
    """
    data.prepare_data()
    data.setup("fit")
    if not len(data.splits.get(split, ())):
        data.setup("test")
    if not len(data.splits.get(split, ())):
        there = ", ".join(name for name in ("train", "val", "test") if len(data.splits.get(name, ())))
        raise UserError(f"the data of {run.name} has no {split} split; it has {there}. Choose one with --split.")
    return data.as_held_out(split)


def split_samples(trained: Trained, wish: ExplainOptions, run: RunDir) -> list[Sample]:
    """Samples of a split, evenly spread over it, or those with the highest loss.

    Raises:
        UserError: the split does not exist.
    """
    part, wanted = load_split(trained.data, wish.split, run), wish.samples or USUAL
    places = worst_places(trained.task, trained.data, part, wanted) if wish.worst else spread(len(part), wanted)
    return [Sample(name_of(part, place), *part.sample(0, place)) for place in places]


def name_of(part: Any, place: int) -> str:
    return part.name(int(part.indices[place]) if hasattr(part, "indices") else place)


def spread(length: int, wanted: int) -> list[int]:
    return np.unique(np.linspace(0, length - 1, min(wanted, length)).round().astype(int)).tolist()


def worst_places(task: Task, data: DataModule, part: Any, wanted: int) -> list[int]:
    """Places in a split of the samples with the highest loss, the worst first."""
    places = spread(len(part), LOOKED_AT)
    losses = [loss_of(task, data, part, place) for place in places]
    order = np.argsort([-loss for loss in losses], kind="stable")[:wanted]
    return [places[number] for number in order]


@torch.no_grad()
def loss_of(task: Task, data: DataModule, part: Any, place: int) -> float:
    """The loss of one sample. Detectors that choose regions at random choose the same ones for a sample every time."""
    batch = data.transfer_batch_to_device(part.__getitems__([(0, place)]), task.device, 0)
    with torch.random.fork_rng():
        torch.manual_seed(place)
        return float(task.eval_step(data.on_after_batch_transfer(batch, 0)).loss)
