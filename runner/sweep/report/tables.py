"""Sweeps and their trials as tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from runner.report.format import Shown, aligned, duration, number
from runner.report.tables import STATE_STYLES
from runner.sweep.report.content import params_of, trial_order
from runner.sweep.sweep_summary import SweepRecord, TrialRecord

__all__ = ["states_line", "sweeps_table", "trials_table"]

STYLES = STATE_STYLES | {"complete": "green"}
RIGHT = ("trial", "epochs", "time")


def trials_table(record: SweepRecord) -> Shown:
    """Return a table with a row for each trial, the best first."""
    failed = any(trial.state == "failed" and trial.reason for trial in record.trials)
    head = [
        "trial",
        "state",
        *record.metrics,
        *record.keys,
        "epochs",
        "time",
        *(["reason"] if failed else []),
    ]
    rows = [row_of(record, trial, failed) for trial in trial_order(record)]
    best = record.best()
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(Text(name), justify="right" if name in RIGHT else "left", overflow="fold")
    for row in rows:
        is_best = best is not None and row[0] == str(best.number)
        state = Text(row[1], style=STYLES.get(row[1], ""))
        table.add_row(Text(row[0]), state, *map(Text, row[2:]), style="bold" if is_best else None)
    return Shown(table, aligned([head, *rows]))


def row_of(record: SweepRecord, trial: TrialRecord, with_reason: bool) -> list[str]:
    values = [
        "-" if math.isnan(trial.value(i)) else number(trial.value(i)) for i in range(len(record.metrics))
    ]
    cells = [
        str(trial.number),
        trial.state,
        *values,
        *(cell.replace("–", "-") for cell in params_of(record, trial)),
        str(max(trial.intermediate_values, default="-")),
        "-" if trial.seconds is None else duration(trial.seconds),
    ]
    reason = " ".join((trial.reason or "").split()).partition(". ")[0] if trial.state == "failed" else ""
    return [*cells, reason] if with_reason else cells


def states_line(record: SweepRecord) -> str:
    """Return a line such as ``finished: 24 of 24 trials: 4 complete, 20 pruned``."""
    counts = record.counts()
    done = sum(counts.values()) - counts["running"]
    words = ", ".join(f"{counts[s]} {s}" for s in ("complete", "pruned", "failed", "running") if counts[s])
    return f"{record.state}: {done} of {record.total} trials" + (f": {words}" if words else "")


def sweeps_table(records: Sequence[SweepRecord]) -> Shown:
    """Return a table with a row for each sweep: state, progress and best trial."""
    head = ["sweep", "state", "trials", "pruned", "failed", "best"]
    rows = []
    for record in records:
        counts, best = record.counts(), record.best()
        done = sum(counts.values()) - counts["running"]
        pairs = zip(record.metrics, best.values, strict=True) if best and best.values else ()
        values = ", ".join(f"{metric} {number(value)}" for metric, value in pairs)
        rows.append(
            [
                record.sweep.name,
                record.state,
                f"{done}/{record.total}",
                str(counts["pruned"]),
                str(counts["failed"]),
                f"{values} (trial {best.number})" if best else "-",
            ]
        )
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(
            name, justify="right" if name in ("trials", "pruned", "failed") else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(
            Text(row[0], style="bold"), Text(row[1], style=STYLES.get(row[1], "")), *map(Text, row[2:])
        )
    return Shown(table, aligned([head, *rows]))
