"""Figures of explanations for each kind of input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from runner.explain.explain import Explained
from runner.explain.explanation import Explanation
from runner.plots.attribution import (
    ScoredRow,
    ScoredText,
    ScoredWindow,
    importance_of_columns,
    scores_of_rows,
    step_scores,
    token_matrix,
    token_scores,
)
from runner.plots.saliency import Panel, saliency_panels, sanity_curve
from runner.tasks.detection import DetectionTask
from runner.tasks.forecasting import ForecastingTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.regression import RegressionTask
from runner.tasks.segmentation import SegmentationTask
from runner.tasks.seq2seq import Seq2SeqTask

__all__ = ["TITLES", "by_input", "caption", "pictures"]

TITLES = {
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "integrated_gradients": "Integrated gradients",
    "occlusion": "Occlusion",
    "permutation": "Permutation importance",
}
UNSIGNED = ("grad_cam", "grad_cam_plus_plus")
MAX_PANELS, MAX_TEXTS, MAX_WINDOWS, MAX_ROWS = 12, 12, 3, 8
"""Maximum number of samples in an overview."""


def pictures(explained: Explained) -> Iterator[tuple[str, Figure]]:
    """Yields ``(name, Figure)`` pairs: ``overview``, one per sample for kinds that need space, and the sanity
    curve.
    """
    title = TITLES[explained.method]
    if explained.importance is not None:
        one = explained.importance
        note = f"{one.metric} {one.score:.4g} on {one.num_samples} rows with every column in place"
        yield (
            "overview",
            importance_of_columns(one.names, one.mean, one.std, title, f"{one.metric} lost", note),
        )
    elif explained.kind == "images":
        yield from image_pictures(explained, title)
    elif explained.kind == "texts" and isinstance(explained.trained.task, LabellingTask):
        yield from label_pictures(explained, title)
    elif explained.kind == "texts" and isinstance(explained.trained.task, Seq2SeqTask):
        yield from written_pictures(explained, title)
    elif explained.kind == "texts":
        texts = [ScoredText(one.sample.name, caption(one), one.parts, one.values) for one in explained.found]
        yield "overview", token_scores(texts[:MAX_TEXTS], title, unit_of(explained))
    elif explained.kind == "series":
        yield from series_pictures(explained, title)
    else:
        yield from row_pictures(explained, title)
    if explained.sanity:
        layers, mean, std = zip(*explained.sanity, strict=True)
        yield (
            "sanity",
            sanity_curve(layers, np.array(mean), np.array(std), f"{title} as layers become random"),
        )


def caption(one: Explanation) -> str:
    """Describes target, prediction, and the truth if it differs."""
    target, said = one.asked.target, one.asked.said
    words = (
        said if said == target or re.match(rf"{re.escape(target)} \d+%", said) else f"{target} (said {said})"
    )
    return f"{words}, truth {one.truth}" if one.truth and one.truth != target else words


def unit_of(explained: Explained) -> str:
    """Returns the unit of the explained number."""
    task = explained.trained.task
    if isinstance(task, ForecastingTask):
        return task.target_names[explained.found[0].asked.details["place"]]
    if isinstance(task, RegressionTask):
        return explained.found[0].asked.target
    if isinstance(task, DetectionTask):
        return "score"
    if isinstance(task, Seq2SeqTask):
        return "nats"
    return "sum of logits" if isinstance(task, SegmentationTask) else "logit"


def by_input(found: Sequence[Explanation]) -> list[list[Explanation]]:
    """Groups explanations by sample."""
    groups: dict[int, list[Explanation]] = {}
    for one in found:
        groups.setdefault(id(one.sample), []).append(one)
    return list(groups.values())


def image_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    signed = explained.method not in UNSIGNED
    options = {
        "signed": signed,
        "unit": unit_of(explained) if signed else "",
        "lower_origin": explained.trained.data.lower_origin,
        "summed": explained.method == "integrated_gradients",
    }
    panels = [panel_of(one) for one in explained.found]
    yield "overview", saliency_panels(panels[:MAX_PANELS], title, **options)
    for panel in panels:
        yield panel.name, saliency_panels([panel], title, **options)


def panel_of(one: Explanation) -> Panel:
    details = one.asked.details
    image = one.sample.raw.cpu().numpy()
    return Panel(one.sample.name, image, one.values, caption(one), details.get("box"), details.get("mask"))


def label_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    for number, steps in enumerate(by_input(explained.found)):
        labels = [label_of(one) for one in steps]
        figure = token_matrix(
            steps[0].parts, labels, np.stack([one.values for one in steps]), title, unit_of(explained)
        )
        if number == 0:
            yield "overview", figure
        yield steps[0].sample.name, figure


def written_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    """Plots the source tokens for each generated sequence, with a row per generated token if several are
    explained.
    """
    groups, unit = by_input(explained.found), unit_of(explained)
    strips = [ScoredText(one.sample.name, caption(one), one.parts, one.values) for one, *_ in groups]
    yield "overview", token_scores(strips[:MAX_TEXTS], title, unit)
    for whole, *steps in groups:
        if steps:
            labels = [f"{one.asked.details['step']}. {caption(one)}" for one in steps]
            values = np.stack([one.values for one in steps])
            name = whole.sample.name
            yield name, token_matrix(whole.parts, labels, values, f"{title}: {caption(whole)}", unit)


def label_of(one: Explanation) -> str:
    """``3. the → article 98%``."""
    step = one.asked.details["step"]
    return f"{step}. {one.parts[step - 1]} → {caption(one)}"


def series_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    names, task = explained.found[0].parts, explained.trained.task
    ends = isinstance(task, ForecastingTask)
    windows = [window_of(one, explained.trained.data) for one in explained.found]
    unit = unit_of(explained)
    yield "overview", step_scores(windows[:MAX_WINDOWS], names, title, unit, ends)
    for window in windows:
        yield window.name, step_scores([window], names, title, unit, ends)


def window_of(one: Explanation, data: Any) -> ScoredWindow:
    details = one.asked.details
    if "forecast" not in details:
        return ScoredWindow(one.sample.name, caption(one), one.values)
    column = details["column"]
    truth = None
    if one.sample.target is not None:
        truth = one.sample.target[:, details["place"]].numpy()
    past, forecast = one.sample.raw[:, column].numpy(), np.array(details["forecast"])
    if getattr(
        data, "series", None
    ):  # units differ between series, and the task forecasts standardized values
        mean, std = data.scale_of(one.sample.raw)
        forecast = forecast * std[column] + mean[column]
    return ScoredWindow(one.sample.name, caption(one), one.values, past, forecast, truth)


def row_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    """Plots the columns of each row and, for several rows, the mean absolute values."""
    found, unit = explained.found, unit_of(explained)
    rows = [ScoredRow(one.sample.name, caption(one), one.values, one.cells) for one in found]
    yield "overview", scores_of_rows(rows[:MAX_ROWS], found[0].parts, title, unit)
    if len(found) > 1:
        sizes = np.abs(np.stack([one.values for one in found]))
        note = f"{len(found)} rows"
        axis = f"mean size of the attribution ({unit})"
        yield "columns", importance_of_columns(found[0].parts, sizes.mean(0), sizes.std(0), title, axis, note)
