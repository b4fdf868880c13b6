"""Figures of samples and of predictions for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from runner.data.base import DataModule
from runner.explain.samples import load_split, name_at, spread_positions, worst_positions
from runner.inference.load import Trained
from runner.inference.predict import predict_samples
from runner.plots.images import image_grid
from runner.run.directory import RunDir

__all__ = ["batch_figure", "losing_samples", "predicted_samples"]

PICTURES = 6
"""Columns of a grid of pictures."""


def batch_figure(data: DataModule, count: int = 24) -> Figure | pd.DataFrame:
    """Return training samples as the model sees them in the first epoch, before normalization.

    Args:
        data: a data module; prepared and set up here.
        count: number of samples.

    Returns:
        A grid of pictures for images; otherwise a table with the inputs and targets.
    """
    data.prepare_data()
    data.setup("fit")
    split = data.splits["train"]
    generator = torch.Generator().manual_seed(0)
    positions = torch.randperm(len(split), generator=generator)[:count].tolist()
    samples = [(name_at(split, position), *split.sample(0, position)) for position in positions]
    if len(data.require_facts().input_shape) == 3:
        pictures = [data.picture(inputs, target) for _, inputs, target in samples]
        images = [np.asarray(image) for image, _ in pictures]
        return image_grid(images, [caption for _, caption in pictures], "Training samples", PICTURES)
    return pd.DataFrame([row_of(data, name, inputs, target) for name, inputs, target in samples])


def row_of(data: DataModule, name: str, inputs: Any, target: Any) -> dict[str, Any]:
    """Return a sample that is no image as a row of a table."""
    values = torch.as_tensor(inputs)
    features = [feature for feature, _ in data.features()]
    row: dict[str, Any] = {"sample": name}
    if values.ndim == 1 and values.is_floating_point() and len(features) == len(values):
        row |= dict(zip(features, values.tolist(), strict=True))
    elif values.ndim == 1 and not values.is_floating_point():
        row["text"] = data.decode(values.tolist())
    else:
        row["shape"] = "×".join(map(str, values.shape))
    return row | {"target": target_text(data, target)}


def target_text(data: DataModule, target: Any) -> str:
    """Return a target in a readable form: the class name, or the numbers."""
    values = torch.as_tensor(target).flatten().tolist() if not isinstance(target, dict) else []
    names = data.require_facts().class_names
    if len(values) == 1 and names and isinstance(values[0], int):
        return names[values[0]]
    return ", ".join(f"{value:.4g}" for value in values[:8])


def predicted_samples(run: RunDir, trained: Trained, split: str, count: int) -> Figure | pd.DataFrame:
    """Return evenly spread samples of a split with target and prediction."""
    part = load_split(trained.data, split, run)
    title = f"Predictions, {split}"
    return results_at(trained, part, spread_positions(len(part), count), title)


def losing_samples(run: RunDir, trained: Trained, split: str, count: int) -> Figure | pd.DataFrame:
    """Return the samples of a split with the highest loss, among 1000 evenly spread ones."""
    part = load_split(trained.data, split, run)
    positions = worst_positions(trained.task, trained.data, part, count)
    return results_at(trained, part, positions, f"Highest losses, {split}")


def results_at(trained: Trained, part: Any, positions: Sequence[int], title: str) -> Figure | pd.DataFrame:
    """Return samples with their predictions: pictures if the task or the data draws some, else a table."""
    data = trained.data
    samples = {position: part.sample(0, position) for position in positions}
    named = [(name_at(part, position), inputs) for position, (inputs, _) in samples.items()]
    rows: list[dict[str, Any]] = []
    drawn: list[np.ndarray] = []
    for chunk in predict_samples(trained, named):
        rows += chunk.rows
        pictures = trained.task.pictures(chunk.inputs, chunk.outputs)
        drawn += [np.asarray(image) for of_sample in pictures for image in list(of_sample.values())[:1]]
    targets = [target for _, target in samples.values()]
    if len(drawn) == len(rows):
        return image_grid(drawn, [str(row["input"])[-22:] for row in rows], title, min(PICTURES, len(rows)))
    if len(data.require_facts().input_shape) == 3:
        pairs = zip(named, targets, strict=True)
        shown = [data.picture(torch.as_tensor(inputs), target) for (_, inputs), target in pairs]
        captions = [
            f"truth: {truth}\npred: {prediction_text(row)}"
            for (_, truth), row in zip(shown, rows, strict=True)
        ]
        images = [np.asarray(image) for image, _ in shown]
        return image_grid(images, captions, title, PICTURES, caption_lines=2)
    truths = [{"target": target_text(data, target)} for target in targets]
    return pd.DataFrame([row | truth for row, truth in zip(rows, truths, strict=True)])


def prediction_text(row: dict[str, Any]) -> str:
    """Return the first value of a prediction, with its probability if there is one."""
    values = {key: value for key, value in row.items() if key != "input"}
    first = next(iter(values.values()), "")
    text = f"{first:.4g}" if isinstance(first, float) else str(first)
    share = next((values[key] for key in ("confidence", "probability") if key in values), None)
    return text if share is None else f"{text} {share:.0%}"
