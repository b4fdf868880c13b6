"""Cross-validation runs on disk: their folds and the aggregated results."""

from __future__ import annotations

import csv
import math
import statistics
from typing import Any

from runner.run.directory import FOLDS, RunDir
from runner.run.files import read_json, rows_as_csv, write_text

__all__ = [
    "FOLD_PLAN",
    "PREDICTIONS",
    "aggregate_folds",
    "finished_folds",
    "fold_of",
    "folds_of",
    "has_folds",
    "join_predictions",
]

FOLD_PLAN = "folds.json"
"""Assignment of samples to folds."""

PREDICTIONS = "predictions.csv"
"""Predictions of a fold's best checkpoint on its validation samples; for the whole run, on all samples."""
SPLITS = ("val", "test")


def fold_of(run: RunDir, index: int) -> RunDir:
    """Return the directory of one fold, which need not exist."""
    return RunDir(run.path / FOLDS / str(index))


def folds_of(run: RunDir) -> list[RunDir]:
    """Return the folds that were started, in order."""
    folder = run.path / FOLDS
    folds = [RunDir(path) for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
    return sorted(
        (fold for fold in folds if fold.config_path.is_file()), key=lambda fold: int(fold.path.name)
    )


def has_folds(run: RunDir) -> bool:
    """Return whether the run is a cross-validation."""
    return (run.path / FOLDS).is_dir()


def finished_folds(run: RunDir) -> dict[int, dict[str, Any]]:
    """Return the results of the folds that have any, by fold number."""
    stored = {int(fold.path.name): read_json(fold.results_path, {}) for fold in folds_of(run)}
    return {number: results for number, results in stored.items() if results.get("val")}


def aggregate_folds(results: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Aggregate the results of all folds.

    ``val`` and ``test`` hold means, ``std`` sample standard deviations (n - 1). A metric measured in a single
    fold has no deviation. Each fold's checkpoint was selected on its validation samples, so the means of
    ``val`` are slightly optimistic. Folds share training samples, so ``std`` is not the error of a mean.

    Args:
        results: results of each fold; at least one fold.
    """
    metrics = {split: of_split(list(results.values()), split) for split in SPLITS}
    metrics = {split: values for split, values in metrics.items() if values}
    bests = [result.get("best") or {} for result in results.values()]
    monitor = bests[0].get("monitor")
    values = [best["value"] for best in bests if best.get("value") is not None]
    first = next(iter(results.values()))
    return {
        "best": {"monitor": monitor, "value": mean(values)} if monitor and values else None,
        **{
            split: {name: mean(values) for name, values in by_name.items()}
            for split, by_name in metrics.items()
        },
        "std": {
            split: {name: std(values) for name, values in by_name.items() if len(values) > 1}
            for split, by_name in metrics.items()
        },
        "by_fold": [{"fold": number} | result for number, result in results.items()],
        "step": sum(result["step"] for result in results.values()),
        "epoch": max(result["epoch"] for result in results.values()),
        **{key: first[key] for key in ("num_parameters", "num_trainable") if key in first},
        "seconds": round(sum(result["seconds"] for result in results.values()), 3),
    }


def of_split(results: list[dict[str, Any]], split: str) -> dict[str, list[float]]:
    """Return each metric's values, without folds that could not measure it because a class was missing."""
    names = dict.fromkeys(name for result in results for name in result.get(split) or {})
    return {name: [r[split][name] for r in results if name in (r.get(split) or {})] for name in names}


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def std(values: list[float]) -> float:
    """Return the sample standard deviation (n - 1) of at least two values."""
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def join_predictions(run: RunDir) -> int:
    """Write the predictions of all folds into one table, in the order of the samples.

    Returns:
        The number of rows; 0 if the task stores no predictions, and then no file is written.
    """
    rows: list[dict[str, str]] = []
    for fold in folds_of(run):
        path = fold.path / PREDICTIONS
        if path.is_file():
            with open(path, encoding="utf-8", newline="") as file:
                rows += csv.DictReader(file)
    if not rows:
        return 0
    rows.sort(key=lambda row: (int(row["index"]), int(row["fold"])))
    write_text(run.path / PREDICTIONS, rows_as_csv(rows))
    return len(rows)
