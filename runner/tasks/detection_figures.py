"""Figures for detection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from runner.plots.box_scores import average_precision_bars, box_precision_recall
from runner.plots.boxes import box_pairs

__all__ = ["detection_figures"]

NUM_IMAGES = 12


def detection_figures(task: Any, split: str, data: Any) -> Iterator[tuple[str, Any]]:
    """Yields the figures of one evaluated split, from ``task.outputs`` and ``task.scores``."""
    outputs, scores = task.outputs[split], task.scores[split]
    names = task.class_names
    yield f"{split}_boxes", pair_figure(task, split, data)
    labels = np.concatenate(
        [target["labels"].numpy()[~target["iscrowd"].numpy()] for target in outputs["targets"]]
    )
    counts = np.bincount(labels, minlength=len(names))
    title = f"Average precision by class ({split})"
    yield (
        f"{split}_average_precision",
        average_precision_bars(scores.class_map, scores.class_map_50, counts, names, title),
    )
    title = f"Precision and recall of boxes ({split})"
    yield f"{split}_precision_recall", box_precision_recall(scores.precision, names, title)


def pair_figure(task: Any, split: str, data: Any) -> Any:
    """Plots images spread evenly over the split with their true and predicted boxes."""
    outputs = task.outputs[split]
    count = len(outputs["index"])
    chosen = np.unique(np.linspace(0, count - 1, min(count, NUM_IMAGES)).round().astype(int))
    index = [int(outputs["index"][row]) for row in chosen]
    source = data.splits[split].source
    images = [source[number][0].numpy() for number in index]
    truths = [as_arrays(outputs["targets"][row]) for row in chosen]
    preds = [as_arrays(task.confident(outputs["preds"][row])) for row in chosen]
    files = [data.sample_name(split, number) for number in index]
    title = f"Ground truth and predictions with a score of at least {task.min_score:.0%} ({split})"
    return box_pairs(images, truths, preds, files, task.class_names, title)


def as_arrays(boxes: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in boxes.items()}
