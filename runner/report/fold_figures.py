"""The pictures of a run of several folds, from what its folds left on the disk."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from runner.plots.confusion import confusion_matrix, count_confusion
from runner.plots.folds import curves_by_fold, scores_by_fold
from runner.plots.regression import regression_panels
from runner.report.folds import SPLITS, monitored
from runner.run.directory import RunDir
from runner.run.folds import PREDICTIONS, folds_of
from runner.run.journal import load_metrics

__all__ = ["fold_figures"]

MAX_METRICS = 6
MAX_TARGETS = 8


def fold_figures(run: RunDir, results: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """``(name, Figure)``, as far as there is something to draw."""
    scores = scores_of(results)
    if scores:
        yield "scores_by_fold", scores_by_fold(scores)
    curves = curves_of(run, monitored(results))
    if curves:
        yield "curves_by_fold", curves_by_fold(curves)
    if (run.path / PREDICTIONS).is_file():
        figure = predictions_figure(run.path / PREDICTIONS)
        if figure is not None:
            yield "out_of_fold", figure


def scores_of(results: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """The monitored metric, the loss and some others: metric → split → a value for each fold."""
    keys = [key for split in SPLITS for key in results.get(split) or {} if key.count("/") == 1]
    names = list(dict.fromkeys(key.partition("/")[2] for key in keys))
    names.sort(key=lambda name: (name != monitored(results), name != "loss"))
    return {
        name: {
            split: [(fold.get(split) or {}).get(f"{split}/{name}", math.nan) for fold in results["by_fold"]]
            for split in SPLITS
            if f"{split}/{name}" in keys
        }
        for name in names[:MAX_METRICS]
    }


def curves_of(run: RunDir, name: str) -> dict[str, dict[int, list[tuple[int, int, float]]]]:
    """Losses and the monitored metric of each fold, as its training measured them."""
    found: dict[str, dict[int, list[tuple[int, int, float]]]] = {}
    for fold in folds_of(run):
        history = load_metrics(fold.metrics_path)
        for key in (f"val/{name}", "val/loss", "train/epoch_loss"):
            if history.get(key):
                found.setdefault(key, {})[int(fold.path.name)] = history[key]
    return found


def predictions_figure(path: Path) -> Figure | None:
    """The confusion matrix or the regression plot over all folds; None if neither applies."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    names = [column.removeprefix("probs.") for column in columns if column.startswith("probs.")]
    if names:
        number = {name: place for place, name in enumerate(names)}
        targets, preds = (np.array([number[row[key]] for row in rows]) for key in ("target", "prediction"))
        counts = count_confusion(targets, preds, len(names))
        return confusion_matrix(counts, names, "Out-of-fold predictions")
    targets = [column for column in columns if column == "target" or column.startswith("target.")]
    preds = ["prediction" + column.removeprefix("target") for column in targets]
    if not targets or len(targets) > MAX_TARGETS:
        return None
    try:
        values = [np.array([[float(row[key]) for key in keys] for row in rows]) for keys in (preds, targets)]
    except ValueError:  # words, or boxes
        return None
    labels = [column.partition(".")[2] or "target" for column in targets]
    return regression_panels(*values, labels, "Out-of-fold predictions")
