"""Figures for classification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from runner.plots.boundary import decision_boundary, feature_grid
from runner.plots.class_scores import class_scores, precision_recall_roc, reliability_diagram
from runner.plots.confusion import confusion_matrix, count_confusion
from runner.plots.images import most_wrong, most_wrong_texts, select_most_wrong
from runner.plots.word_vectors import projection

__all__ = ["classification_figures"]

MAX_POINTS = 2000
"""Maximum number of samples drawn over a decision boundary."""


def classification_figures(
    task: Any, split: str, data: Any, probs: np.ndarray, outputs: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yields the figures of one evaluated split.

    Args:
        task: the classification task.
        split: ``val`` or ``test``.
        data: the run's data module.
        probs: class probabilities, ``(N, K)``.
        outputs: contains ``targets`` and ``index``, each ``(N,)``.
    """
    targets, index = outputs["targets"].numpy(), outputs["index"].numpy()
    names = task.class_names
    preds = np.array([task.choose(row) for row in probs.tolist()], dtype=int)
    confidences = probs[np.arange(len(preds)), preds]
    counts = count_confusion(targets, preds, len(names))
    yield f"{split}_confusion", confusion_matrix(counts, names, f"Confusion matrix ({split})")
    yield f"{split}_class_scores", class_scores(counts, names, f"Scores by class ({split})")
    yield (
        f"{split}_calibration",
        reliability_diagram(confidences, preds == targets, title=f"Calibration ({split})"),
    )
    yield (
        f"{split}_precision_recall",
        precision_recall_roc(probs, targets, names, f"Precision, recall, ROC ({split})"),
    )
    yield from wrong_figure(split, data, names, targets, preds, confidences, probs, index)
    if tuple(data.facts.input_shape) == (2,) and not data.facts.extra.get("vocab_size"):
        yield f"{split}_boundary", boundary_figure(task, split, data)
    if hasattr(data.normalize, "components"):
        yield f"{split}_projection", projection_figure(task, split, data)


def wrong_figure(
    split: str,
    data: Any,
    names: list[str],
    targets: np.ndarray,
    preds: np.ndarray,
    confidences: np.ndarray,
    probs: np.ndarray,
    index: np.ndarray,
) -> Iterator[tuple[str, Any]]:
    """Yields the most confident wrong predictions, as texts or images."""
    chosen = select_most_wrong(probs, targets, preds)
    if len(chosen) and hasattr(data, "text_of"):
        sample_ids = index[chosen].tolist()
        texts = [data.text_of(split, i) for i in sample_ids]
        sample_names = [data.sample_name(split, i) for i in sample_ids]
        title = f"Most wrong predictions ({split})"
        figure = most_wrong_texts(
            texts, sample_names, targets[chosen], preds[chosen], confidences[chosen], names, title
        )
        yield f"{split}_most_wrong", figure
    if len(chosen) == 0 or len(data.facts.input_shape) != 3:
        return
    source = data.splits[split]
    positions = {int(i): position for position, i in enumerate(source.indices.tolist())}
    images = [np.asarray(source[positions[int(index[i])]][0]) for i in chosen]
    files = [data.sample_name(split, int(index[i])) for i in chosen]
    title = f"Most wrong predictions ({split})"
    grid = most_wrong(images, files, targets[chosen], preds[chosen], confidences[chosen], names, title)
    if grid is not None:
        yield f"{split}_most_wrong", grid


def projection_figure(task: Any, split: str, data: Any) -> Any:
    """Plots the first two principal components of a split's samples."""
    samples = [data.splits[split][i] for i in range(min(len(data.splits[split]), MAX_POINTS))]
    points = data.normalize.to("cpu")(torch.stack([image for image, _ in samples]))[:, :2].numpy()
    targets = np.array([int(target) for _, target in samples])
    return projection(points, targets, task.class_names, title=f"First two principal components ({split})")


def boundary_figure(task: Any, split: str, data: Any) -> Any:
    """Plots the decision boundary in the units of the data."""
    count = min(len(data.splits[split]), MAX_POINTS)
    samples = [data.splits[split][i] for i in range(count)]
    points = np.stack([np.asarray(features) for features, _ in samples])
    targets = np.array([int(target) for _, target in samples])
    grid = feature_grid(points)
    flat = torch.as_tensor(grid.reshape(-1, 2), dtype=torch.float32, device=task.device)
    with torch.inference_mode():
        normalize = data.normalize.to(task.device)
        grid_probs = task.probs_of(task(normalize(flat))).cpu().numpy().reshape(*grid.shape[:2], -1)
    features = data.facts.extra.get("feature_names", ["feature 1", "feature 2"])
    title, threshold = f"Decision boundary ({split})", float(getattr(task, "threshold", 0.5))
    return decision_boundary(grid, grid_probs, points, targets, features, task.class_names, title, threshold)
