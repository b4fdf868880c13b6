"""Figures of explanations for each kind of input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from runner.data.base import DataModule
from runner.explain.explain import Explained
from runner.explain.explanation import Explanation
from runner.explain.table import Importance
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
    """Yields ``(name, Figure)`` pairs.

    These are ``overview``, one figure per sample for kinds that need space, and the sanity curve.
    """
    title = TITLES[explained.method]
    if explained.importance is not None:
        yield "overview", importance_picture(explained.importance, title)
    elif explained.kind == "images":
        yield from image_pictures(explained, title)
    elif explained.kind == "texts" and explained.explanations[0].target.position is not None:
        yield from label_pictures(explained, title)
    elif explained.kind == "texts":
        yield from text_pictures(explained, title)
    elif explained.kind == "series":
        yield from series_pictures(explained, title)
    else:
        yield from row_pictures(explained, title)
    if explained.sanity:
        layers, mean, std = zip(*explained.sanity, strict=True)
        curve = sanity_curve(layers, np.array(mean), np.array(std), f"{title} as layers become random")
        yield "sanity", curve


def caption(explanation: Explanation) -> str:
    """Describes target, prediction, and the truth if it differs."""
    name, prediction = explanation.target.name, explanation.target.prediction
    is_predicted = prediction == name or re.match(rf"{re.escape(name)} \d+%", prediction)
    words = prediction if is_predicted else f"{name} (predicted {prediction})"
    truth = explanation.target.truth
    return f"{words}, truth {truth}" if truth and truth != name else words


def unit_of(explained: Explained) -> str:
    """Returns the unit of the explained number."""
    return explained.explanations[0].target.unit


def by_input(explanations: Sequence[Explanation]) -> list[list[Explanation]]:
    """Groups explanations by sample."""
    groups: dict[int, list[Explanation]] = {}
    for explanation in explanations:
        groups.setdefault(id(explanation.sample), []).append(explanation)
    return list(groups.values())


def importance_picture(importance: Importance, title: str) -> Figure:
    """Plots the permutation importance of all columns."""
    metric = importance.metric
    note = f"{metric} {importance.score:.4g} on {importance.num_samples} rows with every column in place"
    return importance_of_columns(
        importance.names, importance.mean, importance.std, title, f"{metric} lost", note
    )


def image_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    """Plots the attribution of pixels over each image."""
    signed = explained.method not in UNSIGNED
    options: dict[str, Any] = {
        "signed": signed,
        "unit": unit_of(explained) if signed else "",
        "lower_origin": explained.trained.data.lower_origin,
        "summed": explained.method == "integrated_gradients",
    }
    panels = [panel_of(explanation) for explanation in explained.explanations]
    yield "overview", saliency_panels(panels[:MAX_PANELS], title, **options)
    for panel in panels:
        yield panel.name, saliency_panels([panel], title, **options)


def panel_of(explanation: Explanation) -> Panel:
    """Converts the explanation of an image for plotting."""
    sample, target = explanation.sample, explanation.target
    image = sample.raw.cpu().numpy()
    return Panel(sample.name, image, explanation.values, caption(explanation), target.box, target.mask)


def label_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    """Plots a row of tokens for each label of a sequence."""
    for number, steps in enumerate(by_input(explained.explanations)):
        labels = [label_of(step) for step in steps]
        values = np.stack([step.values for step in steps])
        figure = token_matrix(steps[0].parts, labels, values, title, unit_of(explained))
        if number == 0:
            yield "overview", figure
        yield steps[0].sample.name, figure


def label_of(explanation: Explanation) -> str:
    """Describes a labelled token, such as ``3. the → article 98%``."""
    target = explanation.target
    return f"{target.step}. {explanation.parts[target.position or 0]} → {caption(explanation)}"


def text_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    """Plots the tokens of each text, and a row per generated token where several are explained."""
    groups, unit = by_input(explained.explanations), unit_of(explained)
    strips = [ScoredText(each.sample.name, caption(each), each.parts, each.values) for each, *_ in groups]
    yield "overview", token_scores(strips[:MAX_TEXTS], title, unit)
    for whole, *steps in groups:
        if steps:
            labels = [f"{step.target.step}. {caption(step)}" for step in steps]
            values = np.stack([step.values for step in steps])
            figure = token_matrix(whole.parts, labels, values, f"{title}: {caption(whole)}", unit)
            yield whole.sample.name, figure


def series_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    """Plots the attribution of steps and variables for each window."""
    explanations, unit = explained.explanations, unit_of(explained)
    names = explanations[0].parts
    is_forecast = explanations[0].target.forecast is not None
    windows = [window_of(explanation, explained.trained.data) for explanation in explanations]
    yield "overview", step_scores(windows[:MAX_WINDOWS], names, title, unit, is_forecast)
    for window in windows:
        yield window.name, step_scores([window], names, title, unit, is_forecast)


def window_of(explanation: Explanation, data: DataModule) -> ScoredWindow:
    """Converts the explanation of a window for plotting, with its forecast in the unit of the data."""
    sample, forecast = explanation.sample, explanation.target.forecast
    if forecast is None:
        return ScoredWindow(sample.name, caption(explanation), explanation.values)
    preds = data.in_units({"preds": torch.as_tensor(forecast.values)[None]}, [sample.raw])["preds"]
    truth = None if sample.target is None else sample.target[:, forecast.index].numpy()
    return ScoredWindow(
        sample.name,
        caption(explanation),
        explanation.values,
        sample.raw[:, forecast.column].numpy(),
        preds[0, :, forecast.index].numpy(),
        truth,
    )


def row_pictures(explained: Explained, title: str) -> Iterator[tuple[str, Figure]]:
    """Plots the columns of each row and, for several rows, the mean absolute values."""
    explanations, unit = explained.explanations, unit_of(explained)
    names = explanations[0].parts
    rows = [ScoredRow(each.sample.name, caption(each), each.values, each.cells) for each in explanations]
    yield "overview", scores_of_rows(rows[:MAX_ROWS], names, title, unit)
    if len(explanations) > 1:
        sizes = np.abs(np.stack([each.values for each in explanations]))
        axis, note = f"mean size of the attribution ({unit})", f"{len(explanations)} rows"
        yield "columns", importance_of_columns(names, sizes.mean(0), sizes.std(0), title, axis, note)
