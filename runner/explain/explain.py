"""Explains the predictions of a run's model for given inputs or samples of its data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from runner.distributed.hardware import available_accelerator
from runner.errors import UserError
from runner.explain.explanation import Explainer, Explanation
from runner.explain.image import ImageExplainer
from runner.explain.options import ExplainOptions
from runner.explain.samples import Sample, given_samples, load_split, split_samples
from runner.explain.sanity import cascade
from runner.explain.sequence import StepExplainer, TokenExplainer
from runner.explain.table import Importance, RowExplainer
from runner.inference.load import Trained, Which, load_trained
from runner.run.directory import RunDir

__all__ = ["Explained", "explain"]

MAX_IN_CHECK = 32
"""Number of explanations that the sanity check recomputes after each layer."""


@dataclass
class Explained:
    """Explanations of a run's predictions, and the settings they were computed with.

    Attributes:
        run: the run.
        trained: its task and data module.
        kind: kind of the inputs.
        method, layers, baseline: settings of the explanations.
        by_location: whether Grad-CAM weights each location rather than whole feature maps.
        explanations: one or several explanations for each sample, as the task defines its targets.
        skipped: names of inputs whose prediction does not contain the requested target.
        importance: result of the method permutation, for which there are no ``explanations``.
        sanity: result of the sanity check: ``(layer, mean, standard deviation)`` of the rank correlation,
            from the output to the input.
    """

    run: RunDir
    trained: Trained
    kind: str
    method: str
    layers: list[str]
    baseline: str
    by_location: bool = False
    explanations: list[Explanation] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    importance: Importance | None = None
    sanity: list[tuple[str, float, float]] = field(default_factory=list)


def explain(
    run: RunDir,
    inputs: Sequence[str],
    options: ExplainOptions,
    which: Which = "best",
    check_sanity: bool = False,
) -> Explained:
    """Explains predictions of a run's model.

    Args:
        run: the run.
        inputs: inputs as for ``runner predict``; if empty, samples of a split are explained.
        options: method, requested target, and settings of the method.
        which: the checkpoint, ``best`` or ``last``.
        check_sanity: compare with explanations of the model as its layers are randomized.

    Raises:
        UserError: the task or model does not support the explanation.
        DataError: an input cannot be read; the message contains its name.
    """
    options.check()
    trained = load_trained(run, which)
    task = trained.task
    if reason := task.why_not_explained():
        raise UserError(reason)
    device = {"gpu": "cuda"}.get(available_accelerator(), available_accelerator())
    task.to(device)
    samples = iter(given_samples(trained, inputs) if inputs else split_samples(trained, options, run))
    first = next(samples, None)
    if first is None:
        raise UserError(f"{', '.join(inputs)}: there is nothing to explain in it. Give other inputs.")
    task.prepare_explanation()
    explainer = make_explainer(trained, options, first, bool(inputs))
    if isinstance(explainer, RowExplainer) and explainer.method == "permutation":
        return explain_columns(run, trained, explainer, check_sanity)
    explanations, skipped = explain_all(explainer, first, samples)
    if not explanations:
        raise UserError(nothing_explained(trained, options, skipped))
    sanity = check_layers(explainer, explanations, options.seed) if check_sanity else []
    return Explained(
        run,
        trained,
        explainer.kind,
        explainer.method,
        explainer.layers,
        explainer.baseline,
        by_location=task.explained_output == "boxes",
        explanations=explanations,
        skipped=skipped,
        sanity=sanity,
    )


def make_explainer(trained: Trained, options: ExplainOptions, sample: Sample, given: bool) -> Explainer:
    """Selects the explainer for the kind of input: image, tokens, numeric steps or table row.

    Args:
        trained: task and data module of the run.
        options: method, requested target, and settings of the method.
        sample: the first sample.
        given: whether the samples are inputs without targets.

    Raises:
        UserError: the method does not support such inputs, or an option has no effect.
    """
    kind, task = kind_of(sample.raw), trained.task
    if options.method is not None and options.method not in kind.methods:
        raise UserError(
            f"--method {options.method} is not for {kind.kind}: a run of {task.title()} on them has "
            f"{', '.join(kind.methods)}."
        )
    is_cam = options.method not in ("integrated_gradients", "occlusion")
    if options.layer and not (kind is ImageExplainer and is_cam):
        raise UserError("--layer would have no effect: it is for grad_cam and grad_cam_plus_plus on images.")
    if options.step is not None and not task.explains_steps:
        raise UserError(
            f"--step would have no effect: predictions of {task.title()} have no steps, as those of "
            "labelling, sequence to sequence and forecasting have."
        )
    return RowExplainer(trained, options, given) if kind is RowExplainer else kind(trained, options)


def kind_of(raw: Tensor) -> type[Explainer]:
    """Returns the explainer for samples of a shape and type.

    Raises:
        UserError: there is none.
    """
    if raw.dim() == 1:
        return RowExplainer if raw.is_floating_point() else TokenExplainer
    kinds: dict[int, type[Explainer]] = {2: StepExplainer, 3: ImageExplainer}
    if raw.dim() not in kinds:
        raise UserError(
            f"`runner explain` has no method for inputs of shape {tuple(raw.shape)}; it explains images "
            "(C, H, W), series (T, F), tokens (T,) and table rows (F,)."
        )
    return kinds[raw.dim()]


def explain_columns(run: RunDir, trained: Trained, explainer: RowExplainer, check_sanity: bool) -> Explained:
    """Computes permutation importance on a split.

    Raises:
        UserError: an option would have no effect.
    """
    options = explainer.options
    if check_sanity:
        raise UserError("--sanity is for explanations of single inputs; permutation importance has none.")
    if options.worst or options.samples is not None:
        raise UserError(
            f"{'--worst' if options.worst else '--samples'} would have no effect: permutation importance is "
            "of the whole split. Leave it out, or take --method integrated_gradients."
        )
    importance = explainer.importance(load_split(trained.data, options.split, run))
    return Explained(run, trained, explainer.kind, explainer.method, [], "", importance=importance)


def explain_all(
    explainer: Explainer, first: Sample, rest: Iterable[Sample]
) -> tuple[list[Explanation], list[str]]:
    """Returns the explanations of all samples, and the names of samples without any."""
    explanations, skipped = [], []
    for sample in (first, *rest):
        explained = explainer.explain(sample)
        explanations += explained
        if not explained:
            skipped.append(sample.name)
    return explanations, skipped


def check_layers(
    explainer: Explainer, explanations: Sequence[Explanation], seed: int
) -> list[tuple[str, float, float]]:
    """Compares explanations with those of the model as its layers are randomized; see ``cascade``."""
    names = explainer.layer_names(explanations[0].sample)
    checked = explanations[:MAX_IN_CHECK]
    return cascade(explainer.model, names, lambda: [explainer.recompute(each) for each in checked], seed)


def nothing_explained(trained: Trained, options: ExplainOptions, skipped: Sequence[str]) -> str:
    """Returns the message that no prediction contains the requested target."""
    return (
        f"the model finds {trained.task.nothing_to_explain(options.target)} in {', '.join(skipped[:3])}"
        f"{' …' if len(skipped) > 3 else ''}: there is nothing to explain. Give other inputs, or another "
        "--target."
    )
