"""A run of several folds in tables: means and deviations, and each fold beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from runner.report.dual_output import Shown, aligned
from runner.report.format import duration, number, with_std
from runner.report.summary import bare_metrics
from runner.report.tables import lowest_of_classes

__all__ = ["fold_rows", "folds_table", "headlines", "mean_rows", "spread"]

SPLITS = ("val", "test")


def spread(sizes: Sequence[int]) -> str:
    """``287 to 288``; one number where all are the same."""
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def monitored(results: Mapping[str, Any]) -> str:
    """The metric that picked the best checkpoints, without its split."""
    return str((results.get("best") or {}).get("monitor") or "").partition("/")[2]


def headlines(results: Mapping[str, Any]) -> dict[str, float]:
    """The monitored metric of a run on val and test, as far as it was measured."""
    name = monitored(results)
    keys = [f"{split}/{name}" for split in SPLITS]
    return {
        key: results[key.partition("/")[0]][key]
        for key in keys
        if key in (results.get(key.partition("/")[0]) or {})
    }


def mean_rows(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table of all metrics: mean ± deviation over the folds, the monitored one first."""
    splits = [split for split in SPLITS if results.get(split)]
    means = {split: lowest_of_classes(bare_metrics(results[split])) for split in splits}
    stds = {split: bare_metrics(results["std"][split]) for split in splits}
    name = monitored(results)
    names = list(dict.fromkeys(metric for found in means.values() for metric in found))
    names.sort(key=lambda metric: (metric != name, metric != "loss"))
    rows = [
        [metric, *(with_std(means[split].get(metric), stds[split].get(metric)) for split in splits)]
        for metric in names
    ]
    return ["metric", *splits], rows


def fold_rows(results: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table with a row for each fold."""
    keys = list(headlines(results))
    rows = []
    for fold in results["by_fold"]:
        best = fold.get("best") or {}
        cells = [number((fold.get(key.partition("/")[0]) or {}).get(key)) for key in keys]
        epoch = str(best["epoch"] + 1) if best.get("epoch") is not None else "-"
        rows.append([str(fold["fold"]), *cells, epoch, duration(fold["seconds"])])
    return ["fold", *keys, "best epoch", "time"], rows


def folds_table(results: Mapping[str, Any]) -> Shown:
    """Both tables, for the console."""
    tables = [fold_rows(results), mean_rows(results)]
    note = f"mean ± standard deviation of {len(results['by_fold'])} folds (with n - 1) · took {duration(results['seconds'])}"
    face = Table.grid()
    lines = []
    for head, rows in tables:
        table = Table(head[0], box=SIMPLE_HEAD, pad_edge=False)
        for name in head[1:]:
            table.add_column(name, justify="right")
        for row in rows:
            table.add_row(*map(Text, row), style="bold" if row[0] == monitored(results) else None)
        face.add_row(table)
        lines += [*aligned([head, *rows]), ""]
    face.add_row(Text(note, style="dim"))
    return Shown(face, [*lines, note])
