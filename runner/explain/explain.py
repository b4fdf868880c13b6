"""Explains the predictions of a run's model for given inputs or samples of its data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.distributed.hardware import available_accelerator
from runner.errors import UserError
from runner.explain.explanation import Explainer, Explanation
from runner.explain.image import ImageExplainer
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample, given_samples, load_split, split_samples
from runner.explain.sanity import cascade
from runner.explain.seq2seq import WrittenExplainer
from runner.explain.sequence import StepExplainer, TokenExplainer
from runner.explain.table import Importance, RowExplainer
from runner.explain.targets import ask, refusal, task_name
from runner.inference.load import Trained, Which, load_trained
from runner.run.directory import RunDir
from runner.tasks.base import Task
from runner.tasks.detection import DetectionTask
from runner.tasks.seq2seq import Seq2SeqTask

__all__ = ["Explained", "explain"]

MAX_IN_CHECK = 32
"""Number of explanations that the sanity check recomputes after each layer."""


@dataclass
class Explained:
    """
    Attributes:
        kind: kind of the inputs.
        method, layers, baseline: settings of the explanations.
        by_place: whether Grad-CAM weights each location rather than whole feature maps.
        found: one explanation per sample; for labelled sequences one per step; for generated sequences one
            for the whole sequence, then one per token.
        skipped: names of inputs whose prediction does not contain the requested target.
        importance: result of the method permutation, for which ``found`` is empty.
        sanity: result of the sanity check: ``(layer, mean, standard deviation)`` of the rank correlation,
            from the output to the input.
    """

    run: RunDir
    trained: Trained
    kind: str
    method: str
    layers: list[str]
    baseline: str
    by_place: bool = False
    found: list[Explanation] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    importance: Importance | None = None
    sanity: list[tuple[str, float, float]] = field(default_factory=list)


def explain(
    run: RunDir,
    inputs: Sequence[str],
    wish: ExplainOptions,
    which: Which = "best",
    check_sanity: bool = False,
) -> Explained:
    """
    Args:
        inputs: inputs as for ``runner predict``; if empty, samples of a split are explained.
        check_sanity: compare with explanations of the model as its layers are randomized.

    Raises:
        UserError: the task or model does not support the explanation.
        DataError: an input cannot be read; the message contains its name.
    """
    wish.check()
    trained = load_trained(run, which)
    task = trained.task
    if ask.dispatch(type(task)) is ask.dispatch(object):
        raise UserError(refusal(task))
    device = {"gpu": "cuda"}.get(available_accelerator(), available_accelerator())
    task.to(device)
    samples = given_samples(trained, inputs) if inputs else split_samples(trained, wish, run)
    samples = iter(samples)
    first = next(samples, None)
    if first is None:
        raise UserError(f"{', '.join(inputs)}: there is nothing to explain in it. Give other inputs.")
    explainer = make_explainer(trained, wish, first, bool(inputs))
    if explainer.method == "permutation":
        if check_sanity:
            raise UserError("--sanity is for explanations of single inputs; permutation importance has none.")
        if wish.worst or wish.samples is not None:
            raise UserError(
                f"{'--worst' if wish.worst else '--samples'} would have no effect: permutation importance "
                "is of the whole "
                "split. Leave it out, or take --method integrated_gradients."
            )
        part = load_split(trained.data, wish.split, run)
        return made(run, trained, explainer, importance=explainer.importance(part))
    found, skipped = explain_all(explainer, first, samples)
    if not found:
        raise UserError(nothing_said(task, wish, skipped))
    explained = made(run, trained, explainer, found=found, skipped=skipped)
    if check_sanity:
        names = explainer.layer_names(found[0].sample)
        checked = found[:MAX_IN_CHECK]
        explained.sanity = cascade(
            explainer.model, names, lambda: [explainer.again(one) for one in checked], wish.seed
        )
    return explained


def make_explainer(trained: Trained, wish: ExplainOptions, sample: Sample, given: bool) -> Explainer:
    """Selects the explainer for the kind of input: image, tokens, numeric steps or table row.

    Raises:
        UserError: the method does not support such inputs, or an option has no effect.
    """
    raw = sample.raw
    kinds: dict[Any, Any] = {
        3: ImageExplainer,
        2: StepExplainer,
        1: RowExplainer if raw.is_floating_point() else TokenExplainer,
    }
    kind = WrittenExplainer if isinstance(trained.task, Seq2SeqTask) else kinds[raw.dim()]
    if wish.method is not None and wish.method not in kind.methods:
        raise UserError(
            f"--method {wish.method} is not for {kind.kind}: a run of {task_name(trained.task)} on them has "
            f"{', '.join(kind.methods)}."
        )
    if wish.layer and (kind is not ImageExplainer or wish.method in ("integrated_gradients", "occlusion")):
        raise UserError("--layer would have no effect: it is for grad_cam and grad_cam_plus_plus on images.")
    if wish.step is not None and task_name(trained.task) not in ("labelling", "seq2seq", "forecasting"):
        raise UserError(
            "--step would have no effect: it is for runs of labelling, sequence to sequence and forecasting."
        )
    return kind(trained, wish, given) if kind is RowExplainer else kind(trained, wish)


def explain_all(
    explainer: Explainer, first: Sample, rest: Iterable[Sample]
) -> tuple[list[Explanation], list[str]]:
    found, skipped = [], []
    for sample in (first, *rest):
        explanations = explainer.explain(sample)
        found += explanations
        if not explanations:
            skipped.append(sample.name)
    return found, skipped


def nothing_said(task: Task, wish: ExplainOptions, skipped: Sequence[str]) -> str:
    """Returns the reason why there is nothing to explain."""
    what = "box" if task_name(task) == "detection" else "pixel"
    of = f" of {wish.target}" if wish.target else ""
    sure = f" that is surer than task.min_score={task.min_score}" if what == "box" else ""
    return (
        f"the model finds no {what}{of}{sure} in "
        f"{', '.join(skipped[:3])}{' …' if len(skipped) > 3 else ''}: there is "
        "nothing to explain. Give other inputs, or another --target."
    )


def made(run: RunDir, trained: Trained, explainer: Explainer, **what: Any) -> Explained:
    by_place = isinstance(trained.task, DetectionTask)
    return Explained(
        run, trained, explainer.kind, explainer.method, explainer.layers, explainer.baseline, by_place, **what
    )
