"""Tables, figures and the HTML report of a run of several folds."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from runner.plots.confusion import confusion_matrix, count_confusion
from runner.plots.folds import curves_by_fold, scores_by_fold
from runner.plots.regression import regression_panels
from runner.plots.style import to_png
from runner.report.content import page_content as run_content
from runner.report.format import Shown, aligned, count, duration, number, with_std
from runner.report.page import render
from runner.report.picture import Picture, load_picture
from runner.report.summary import Summary, bare_metrics, summarize
from runner.report.tables import lowest_of_classes
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.folds import PREDICTIONS, aggregate_folds, finished_folds, folds_of
from runner.run.journal import load_metrics
from runner.run.state import RunState

__all__ = [
    "fold_figures",
    "fold_rows",
    "folds_table",
    "headlines",
    "mean_rows",
    "spread",
    "write_fold_report",
]

SPLITS = ("val", "test")


def spread(sizes: Sequence[int]) -> str:
    """Return a range such as ``287 to 288``, or a single number if all sizes are equal."""
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def monitored(results: Mapping[str, Any]) -> str:
    """Return the metric that selected the best checkpoints, without its split."""
    return str((results.get("best") or {}).get("monitor") or "").partition("/")[2]


def headlines(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the monitored metric of a run on val and test, if measured.

    Args:
        results: the content of ``results.json``.
    """
    name = monitored(results)
    keys = [f"{split}/{name}" for split in SPLITS]
    return {
        key: results[key.partition("/")[0]][key]
        for key in keys
        if key in (results.get(key.partition("/")[0]) or {})
    }


def mean_rows(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table of all metrics: mean ± deviation, the monitored one first."""
    splits = [split for split in SPLITS if results.get(split)]
    means = {split: lowest_of_classes(bare_metrics(results[split])) for split in splits}
    stds = {split: bare_metrics(results["std"][split]) for split in splits}
    name = monitored(results)
    names = list(dict.fromkeys(metric for values in means.values() for metric in values))
    names.sort(key=lambda metric: (metric != name, metric != "loss"))
    rows = [
        [metric, *(with_std(means[split].get(metric), stds[split].get(metric)) for split in splits)]
        for metric in names
    ]
    return ["metric", *splits], rows


def fold_rows(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table with a row for each fold."""
    keys = list(headlines(results))
    rows = []
    for fold in results["by_fold"]:
        best = fold.get("best") or {}
        cells = [number((fold.get(key.partition("/")[0]) or {}).get(key)) for key in keys]
        epoch = str(best["epoch"] + 1) if best.get("epoch") is not None else "-"
        rows.append([str(fold["fold"]), *cells, epoch, duration(fold["seconds"])])
    return ["fold", *keys, "best epoch", "time"], rows


def folds_table(results: Mapping[str, Any]) -> Shown:
    """Return both tables, for the console."""
    tables = [fold_rows(results), mean_rows(results)]
    note = (
        f"mean ± standard deviation of {len(results['by_fold'])} folds (with n - 1) · took "
        f"{duration(results['seconds'])}"
    )
    grid = Table.grid()
    lines: list[str] = []
    for head, rows in tables:
        table = Table(head[0], box=SIMPLE_HEAD, pad_edge=False)
        for name in head[1:]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*map(Text, row), style="bold" if row[0] == monitored(results) else None)
        grid.add_row(table)
        lines += [*aligned([head, *rows]), ""]
    grid.add_row(Text(note, style="dim"))
    return Shown(grid, [*lines, note])


MAX_METRICS = 6
MAX_TARGETS = 8


def fold_figures(run: RunDir, results: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Yield names and figures of the plots for which values exist.

    Args:
        run: the cross-validation run.
        results: its aggregated results.
    """
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
    """Return the monitored metric, the loss and some others: metric → split → value of each fold."""
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
    """Return the losses and the monitored metric of each fold, as logged during training."""
    curves: dict[str, dict[int, list[tuple[int, int, float]]]] = {}
    for fold in folds_of(run):
        history = load_metrics(fold.metrics_path)
        for key in (f"val/{name}", "val/loss", "train/epoch_loss"):
            if history.get(key):
                curves.setdefault(key, {})[int(fold.path.name)] = history[key]
    return curves


def predictions_figure(path: Path) -> Figure | None:
    """Return the confusion matrix or the regression plot over all folds; None if neither applies."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = list(rows[0]) if rows else []
    names = [column.removeprefix("probs.") for column in columns if column.startswith("probs.")]
    if names:
        index = {name: i for i, name in enumerate(names)}
        targets, preds = (np.array([index[row[key]] for row in rows]) for key in ("target", "prediction"))
        counts = count_confusion(targets, preds, len(names))
        return confusion_matrix(counts, names, "Out-of-fold predictions")
    target_columns = [column for column in columns if column == "target" or column.startswith("target.")]
    pred_columns = ["prediction" + column.removeprefix("target") for column in target_columns]
    if not target_columns or len(target_columns) > MAX_TARGETS:
        return None
    try:
        pred_values, target_values = (
            np.array([[float(row[key]) for key in keys] for row in rows])
            for keys in (pred_columns, target_columns)
        )
    except ValueError:  # words or boxes
        return None
    labels = [column.partition(".")[2] or "target" for column in target_columns]
    return regression_panels(pred_values, target_values, labels, "Out-of-fold predictions")


log = logging.getLogger("runner.report")


def write_fold_report(run: RunDir) -> Path:
    """Draw the plots and write ``report.html``, also of a run with unfinished folds.

    Returns:
        The path of the page.

    Raises:
        OSError: the file cannot be written.
    """
    summary = summarize(run)
    done = finished_folds(run)
    results = summary.results or (aggregate_folds(done) if done else {})
    pictures = []
    for name in draw(run, results) if results else []:
        picture = load_picture(run.plots / f"{name}.png")
        pictures += [] if picture is None else [picture]
    write_text(run.report_path, render("folds.html", page_content(summary, results, pictures)))
    return run.report_path


def draw(run: RunDir, results: dict[str, Any]) -> list[str]:
    names = []
    try:
        for name, figure in fold_figures(run, results):
            to_png(figure, run.plots / f"{name}.png")
            names.append(name)
    except (OSError, ValueError, KeyError, TypeError) as error:  # incomplete, or not writable
        log.warning("not all plots could be drawn: %s", error)
    return names


def page_content(summary: Summary, results: dict[str, Any], pictures: list[Picture]) -> dict[str, Any]:
    content = run_content(summary, [])
    if results:
        content["tiles"] = tiles(results)
    return content | {
        "kind": "cross-validation",
        "title": f"{content['title']}, cross-validated",
        "again": f"{content['again']} run.name=NAME",
        "next_commands": next_commands(summary),
        "means": mean_rows(results) if results else None,
        "folds": fold_rows(results) if results else None,
        "num_done": len(results["by_fold"]) if results else 0,
        "pictures": pictures,
        "cut": split_rows(summary.fold_plan),
        "notes": summary.fold_plan.get("notes", []),
    }


def next_commands(run: RunState) -> list[tuple[str, str]]:
    if not run.is_finished:
        return [(f"runner resume {run.name}", "train the unfinished folds")]
    return [
        (f"runner compare {run.name} OTHER", "compare the means with those of another run"),
        (f"runner predict {run.name}/0 INPUT", "use the model of a fold"),
    ]


def tiles(results: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, mean in reversed(headlines(results).items()):
        split = key.partition("/")[0]
        rows.append((key.replace("/", " "), with_std(mean, results["std"][split].get(key))))
    rows.append(("folds", str(len(results["by_fold"]))))
    if results.get("num_parameters"):
        rows.append(("parameters", count(results["num_parameters"])))
    return [*rows, ("time", duration(results["seconds"]))]


def split_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    if not plan:
        return []
    rows = [
        ("data", plan["name"]),
        ("source", plan.get("source") or "-"),
        ("split by", plan["kind"]),
        ("validation samples per fold", spread(plan["sizes"])),
        ("test samples, the same in every fold", f"{plan['num_test']:,}" if plan["num_test"] else "none"),
    ]
    return [*rows, ("groups", f"{plan['num_groups']:,}")] if plan.get("num_groups") else rows
