"""A comparison of runs: the differences of their configs, and their results."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from runner.report.format import Shown, aligned, duration, number, with_std
from runner.report.summary import Summary, lower_is_better, summarize
from runner.run.directory import RunDir
from runner.run.flatten import flatten

__all__ = ["best_columns", "compare_table", "differences"]

MISSING = "-"
BEST = " *"
ALWAYS_DIFFER = ("run.name", "run.root")
"""Keys that differ between any two runs and do not describe the experiment."""
WITHOUT_BEST = ("threshold",)
"""Entries of the metrics that have no better or worse value."""


def compare_table(runs: Sequence[RunDir]) -> Shown:
    """Return a table with a column for each run.

    It contains state and duration, the config values that differ, and all metrics with the best of each row
    marked.
    """
    summaries = [summarize(run) for run in runs]
    sections: list[tuple[str, dict[str, list[str]], dict[str, list[int]]]] = [
        ("run", _general(summaries), {}),
        ("config", differences([summary.config for summary in summaries]), {}),
        ("metrics", *_metrics(summaries)),
    ]
    head = ["", *(summary.name for summary in summaries)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(Text(name), overflow="fold")
    rows = [head]
    for title, values, best in sections:
        same = {"config": ["the same"] * len(runs)} if title == "config" and not values else {}
        for key, cells in (values | same).items():
            marked = best.get(key, [])
            table.add_row(Text(key, style="dim"), *_styled(cells, marked))
            rows.append([key, *(cell + BEST if i in marked else cell for i, cell in enumerate(cells))])
        table.add_section()
    legend = [f"{BEST.strip()} best of its row"] if any(sections[-1][2].values()) else []
    return Shown(table, [*aligned(rows), *legend])


def _styled(cells: list[str], marked: Sequence[int]) -> list[Text]:
    return [
        Text(cell + BEST, style="bold green") if i in marked else Text(cell) for i, cell in enumerate(cells)
    ]


def _general(summaries: list[Summary]) -> dict[str, list[str]]:
    times = [s.seconds for s in summaries]
    sizes = [s.results.get("num_parameters") for s in summaries]
    rows: dict[str, list[str]] = {
        "state": [s.status.state for s in summaries],
        "time": [MISSING if seconds is None else duration(seconds) for seconds in times],
        "parameters": [number(size) for size in sizes],
        "code": [_revision(s) for s in summaries],
    }
    return {key: cells for key, cells in rows.items() if set(cells) != {MISSING}}


def _revision(summary: Summary) -> str:
    git = summary.provenance.get("git") or {}
    if not git.get("revision"):
        return MISSING
    return str(git["revision"])[:10] + (" + changes" if git.get("dirty") else "")


def differences(configs: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Return dotted key → text for each config, for the keys whose values differ."""
    flat = [{key: as_text(value) for key, value in flatten(config)} for config in configs]
    keys = list(dict.fromkeys(key for config in flat for key in config))
    rows = {key: [config.get(key, MISSING) for config in flat] for key in keys if key not in ALWAYS_DIFFER}
    return {key: cells for key, cells in rows.items() if len(set(cells)) > 1}


def as_text(value: Any) -> str:
    """Return a value as JSON, but text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _metrics(summaries: list[Summary]) -> tuple[dict[str, list[str]], dict[str, list[int]]]:
    """Return the rows of metrics as text, and the indices of the best columns of each row."""
    keys = list(dict.fromkeys(
        f"{split}/{name}" for split in ("test", "val") for s in summaries for name in s.metrics.get(split, {})
    ))  # fmt: skip
    rows, best = {}, {}
    for key in keys:
        split, _, name = key.partition("/")
        values = [s.metrics.get(split, {}).get(name) for s in summaries]
        rows[key] = [with_std(value, s.std_of(key)) for value, s in zip(values, summaries, strict=True)]
        best[key] = best_columns(name, values)
    return rows, best


def best_columns(metric: str, values: Sequence[float | None]) -> list[int]:
    """Return the columns with the best value.

    None is best if fewer than two values can be compared, all are equal, or the metric has no better value.

    Args:
        metric: name of the metric.
        values: the value of each column; None if missing.
    """
    if metric in WITHOUT_BEST:
        return []
    known = [v for v in values if isinstance(v, (int, float)) and math.isfinite(v)]
    if len(known) < 2 or min(known) == max(known):
        return []
    winner = min(known) if lower_is_better(metric) else max(known)
    return [i for i, value in enumerate(values) if value == winner]
