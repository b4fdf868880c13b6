"""Targets of explanations: the number of a model's prediction that is explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from runner.data.segmentation.classes import GROUNDS
from runner.errors import UserError
from runner.explain.options import ExplainOptions
from runner.suggest import did_you_mean
from runner.tasks.base import Task
from runner.tasks.classification import ClassificationTask
from runner.tasks.detection import DetectionTask
from runner.tasks.forecasting import ForecastingTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.language import LanguageTask
from runner.tasks.regression import RegressionTask
from runner.tasks.segmentation import SegmentationTask
from runner.tasks.word_vectors import WordVectorsTask

__all__ = ["ExplanationTarget", "Forward", "ask", "one_token", "refusal", "task_name"]

SAME_BOX = 0.5
"""Minimum IoU at which a box fully counts as the explained one."""

Forward = Callable[[Tensor], Tensor]


@dataclass
class ExplanationTarget:
    """
    Attributes:
        score: differentiable function that maps inputs ``(N, …)`` to one number each, ``(N,)``.
        target: description of the explained number.
        said: the prediction as text.
        details: parts of the prediction for files and figures: ``box``, ``mask``, ``step``, ``written``.
    """

    score: Callable[[Tensor], Tensor]
    target: str
    said: str
    details: dict[str, Any] = field(default_factory=dict)


@singledispatch
def ask(
    task: Task, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Returns the targets to explain for one input; empty if the prediction does not contain the requested
    target.

    Args:
        forward: forward pass of the task, which maps inputs to the model's outputs.
        inputs: model input, ``(1, …)``.

    Raises:
        UserError: the class, column or step does not exist, or runs of this task cannot be explained.
    """
    raise UserError(refusal(task))


def refusal(task: Task) -> str:
    """Returns the message that runs of a task cannot be explained."""
    if isinstance(task, WordVectorsTask):
        return (
            "a run of word vectors has nothing to explain: its output for a word is that word's vector, "
            "which depends on no "
            "other input. `runner predict RUN WORD…` lists the nearest words, `runner embed RUN` draws the "
            "vectors."
        )
    return f"`runner explain` has no method for runs of {task_name(task)}."


def task_name(task: Task) -> str:
    return type(task).__name__.removesuffix("Task").lower()


def number_of(wanted: str, names: Sequence[str], what: str) -> int:
    """Returns the index of a name; a number that is not a name is used as index.

    Raises:
        UserError: the name does not exist.
    """
    if wanted in names:
        return list(names).index(wanted)
    if wanted.isdigit() and int(wanted) < len(names):
        return int(wanted)
    raise UserError(f"--target {wanted}: the run has no such {what}. {did_you_mean(wanted, names)}")


@ask.register
def _(
    task: ClassificationTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Explains the logit of a class; for a single logit, its negative for the first class."""
    with torch.no_grad():
        probs = task.probs_of(forward(inputs))[0].tolist()
    said = task.choose(probs)
    number = said if wish.target is None else number_of(wish.target, task.class_names, "class")

    def score(batch: Tensor) -> Tensor:
        logits = forward(batch)
        if not task.one_logit:
            return logits[:, number]
        return logits.reshape(-1) if number else -logits.reshape(-1)

    words = f"{task.class_names[said]} {probs[said]:.0%}"
    return [ExplanationTarget(score, task.class_names[number], words, {"probability": probs[number]})]


@ask.register
def _(
    task: RegressionTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Explains a predicted number in the unit of the data."""
    number = 0 if wish.target is None else number_of(wish.target, task.target_names, "target")

    def score(batch: Tensor) -> Tensor:
        return task.to_unit(forward(batch).float().reshape(len(batch), -1))[:, number]

    with torch.no_grad():
        said = float(score(inputs)[0])
    return [ExplanationTarget(score, task.target_names[number], f"{said:.4g}")]


@ask.register
def _(
    task: SegmentationTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Explains the sum of a class's logits over its predicted pixels: Vinogradova et al. 2020,
    arXiv:2002.11434.
    """
    with torch.no_grad():
        preds = forward(inputs).argmax(1)[0]
    counts = torch.bincount(preds.flatten(), minlength=len(task.class_names)).tolist()
    ranked = sorted(range(len(counts)), key=lambda number: -counts[number])
    things = [
        number for number in ranked if counts[number] and task.class_names[number].lower() not in GROUNDS
    ]
    number = (
        (things or ranked)[0] if wish.target is None else number_of(wish.target, task.class_names, "class")
    )
    mask = preds == number
    if not mask.any():
        return []
    said = ", ".join(
        f"{task.class_names[place]} {counts[place] / preds.numel():.0%}"
        for place in ranked[:3]
        if counts[place]
    )

    def score(batch: Tensor) -> Tensor:
        return (forward(batch)[:, number] * mask).sum((1, 2))

    return [ExplanationTarget(score, task.class_names[number], said, {"mask": mask.cpu().numpy()})]


@ask.register
def _(
    task: DetectionTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Explains the score of the most confident box, or of that of the requested class.

    In modified images, the score is the highest among boxes of the class that overlap it with an IoU of one
    half; boxes with less overlap count less. Boxes below the model's score threshold are included, so that
    the score changes continuously with the image.
    """
    with torch.no_grad():
        found = forward(inputs)[0]
    wanted = None if wish.target is None else number_of(wish.target, task.class_names, "class")
    places = [place for place, label in enumerate(found["labels"].tolist()) if wanted in (None, label)]
    if not places or float(found["scores"][places[0]]) < task.min_score:
        return []
    box, label = found["boxes"][places[0]].detach(), int(found["labels"][places[0]])

    def score(batch: Tensor) -> Tensor:
        return torch.stack(
            [score_of(pred, box, label, image) for pred, image in zip(forward(batch), batch, strict=True)]
        )

    words = f"{task.class_names[label]} {float(found['scores'][places[0]]):.0%}"
    return [ExplanationTarget(score, task.class_names[label], words, {"box": box.cpu().tolist()})]


def score_of(pred: dict[str, Tensor], box: Tensor, label: int, image: Tensor) -> Tensor:
    same = pred["labels"] == label
    if not bool(same.any()):
        return 0.0 * image.sum()
    overlap = box_iou(pred["boxes"][same], box[None])[:, 0]
    return (pred["scores"][same] * (overlap / SAME_BOX).clamp(max=1)).max()


@ask.register
def _(
    task: LabellingTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Explains the logit of each step, or of a single one."""
    with torch.no_grad():
        probs = forward(inputs)[0].float().softmax(-1)
    wanted = None if wish.target is None else number_of(wish.target, task.class_names, "class")
    if wish.step is not None and wish.step > len(probs):
        raise UserError(f"--step {wish.step}: the sequence has {len(probs)} steps.")
    steps = range(len(probs)) if wish.step is None else [wish.step - 1]
    asked = []
    for step in steps:
        said = int(probs[step].argmax())
        number = said if wanted is None else wanted

        def score(batch: Tensor, step: int = step, number: int = number) -> Tensor:
            return forward(batch)[:, step, number]

        words = f"{task.class_names[said]} {float(probs[step, said]):.0%}"
        asked.append(ExplanationTarget(score, task.class_names[number], words, {"step": step + 1}))
    return asked


def one_token(ids: Sequence[int], wanted: str) -> int:
    """
    Raises:
        UserError: the text is not exactly one token.
    """
    if len(ids) != 1:
        raise UserError(f"--target {wanted!r} is {len(ids)} tokens to this run; give a single one.")
    return ids[0]


@ask.register
def _(
    task: LanguageTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Explains the logit of the token after the text."""

    def logits(batch: Tensor) -> Tensor:
        return task.model(batch, None, True)[0][:, -1]

    with torch.no_grad():
        probs = logits(inputs)[0].float().softmax(-1)
    said = int(probs.argmax())
    number = said
    if wish.target is not None:
        number = one_token(data.encode(wish.target), wish.target)
    words = f"{data.tokenizer.token(said)!r} {float(probs[said]):.0%}"
    target = repr(data.tokenizer.token(number))
    return [
        ExplanationTarget(
            lambda batch: logits(batch)[:, number], target, words, {"probability": float(probs[number])}
        )
    ]


@ask.register
def _(
    task: ForecastingTask, forward: Forward, inputs: Tensor, wish: ExplainOptions, data: Any
) -> list[ExplanationTarget]:
    """Explains the mean forecast of a column, or its forecast for one step, in the unit of the data."""
    number = 0 if wish.target is None else number_of(wish.target, task.target_names, "target")
    if wish.step is not None and wish.step > task.horizon_steps:
        raise UserError(f"--step {wish.step}: the run forecasts {task.horizon_steps} steps.")
    steps = slice(None) if wish.step is None else slice(wish.step - 1, wish.step)

    def score(batch: Tensor) -> Tensor:
        return task.to_unit(task.forecast(batch))[:, steps, number].mean(1)

    with torch.no_grad():
        preds = task.to_unit(task.forecast(inputs))[0, :, number].cpu()
    ahead = f"mean of {task.horizon_steps} steps ahead" if wish.step is None else f"step {wish.step} ahead"
    ahead = "one step ahead" if task.horizon_steps == 1 else ahead
    details = {"forecast": preds.tolist(), "column": task.target_columns[number], "place": number}
    return [
        ExplanationTarget(
            score, f"{task.target_names[number]}, {ahead}", f"{float(preds[steps].mean()):.4g}", details
        )
    ]
