"""Tables and lists on the console."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from textwrap import shorten
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from runner.errors import RunnerError
from runner.report.baselines import baseline_rows
from runner.report.comparison import compare_table
from runner.report.format import Shown, aligned, duration, number, with_std
from runner.report.summary import Summary, bare_metrics
from runner.report.words import Words
from runner.run.checkpoints import Checkpoint, sort_by_metric
from runner.run.folds import finished_folds, has_folds

__all__ = [
    "STATE_STYLES",
    "compare_table",
    "next_commands",
    "plan_panel",
    "results_table",
    "runs_table",
    "suggestions_table",
]

FEW_CLASSES = 5
"""Up to this number, classes are listed individually."""

STATE_STYLES = {
    "finished": "green",
    "running": "cyan",
    "pruned": "yellow",
    "interrupted": "yellow",
    "failed": "red",
    "lost": "red",
    "created": "dim",
}


def results_table(results: Mapping[str, Any]) -> Shown:
    """Return a table with a row for each metric, a column for each split, and a note on the best checkpoint.

    Args:
        results: the content of ``results.json``; missing splits have no column.
    """
    splits = {
        split: lowest_of_classes(bare_metrics(results[split]))
        for split in ("val", "test")
        if results.get(split)
    }
    best = results.get("best") or {}
    monitored = str(best.get("monitor") or "").partition("/")[2]
    names = list(dict.fromkeys(name for metrics in splits.values() for name in metrics))
    names.sort(key=lambda name: (name != monitored, name != "loss"))
    rows = [[name, *(number(metrics.get(name)) for metrics in splits.values())] for name in names]

    table = Table("metric", box=SIMPLE_HEAD, pad_edge=False)
    for split in splits:
        table.add_column(split, justify="right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row), style="bold" if row[0] == monitored else None)
    note = _best_note(best, results.get("seconds"))
    for row in baseline_rows(results, list(splits), names, monitored):
        rows.append(row)
        table.add_row(*(Text(cell) for cell in row), style="dim")
    grid = Table.grid()
    grid.add_row(table if rows else Text("no metrics"))
    if note:
        grid.add_row(Text(note, style="dim"))
    lines = aligned([["metric", *splits], *rows]) if rows else ["no metrics"]
    return Shown(grid, [*lines, note] if note else lines)


def lowest_of_classes(metrics: Mapping[str, float]) -> dict[str, float]:
    """Replace per-class metrics (``f1_class/NAME``) of many classes by their lowest value.

    ``runner evaluate`` shows all of them.
    """
    of_classes: dict[str, dict[str, float]] = {}
    for name, value in metrics.items():
        kind, slash, _ = name.partition("/")
        if slash and kind.endswith("_class"):
            of_classes.setdefault(kind, {})[name] = value
    many = {kind: values for kind, values in of_classes.items() if len(values) > FEW_CLASSES}
    replaced = {name for values in many.values() for name in values}
    kept = {name: value for name, value in metrics.items() if name not in replaced}
    return kept | {f"{kind}, lowest": min(values.values()) for kind, values in many.items()}


def _best_note(best: Mapping[str, Any], seconds: float | None) -> str:
    notes = []
    if best.get("step") is not None:
        is_measured = best.get("monitor") and best.get("value") is not None
        value = f" ({best['monitor']} {number(best['value'])})" if is_measured else ""
        notes.append(f"best checkpoint: step {best['step']}, epoch {best.get('epoch', 0) + 1}{value}")
    if seconds is not None:
        notes.append(f"took {duration(seconds)}")
    return " · ".join(notes)


def runs_table(summaries: Sequence[Summary]) -> Shown:
    """Return a table with a row for each run: name, state, progress, duration, and main result or reason."""
    head = ["run", "state", "epoch", "time", "result"]
    rows = [_row(summary) for summary in summaries]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in ("epoch", "time") else "left", overflow="fold")
    for row in rows:
        style = STATE_STYLES.get(row[1], "")
        table.add_row(
            Words(row[0], style="bold"), Text(row[1], style=style), *(Words(cell) for cell in row[2:])
        )
    return Shown(table, aligned([head, *rows]))


def _row(summary: Summary) -> list[str]:
    if summary.damage is not None:
        return [summary.name, "damaged", "-", "-", shorten(summary.damage, 300, placeholder=" …")]
    return [summary.name, summary.status.state, _epoch(summary), _time(summary), _outcome(summary)]


MAX_REASON = 100
"""Maximum number of characters of a failure's reason; `runner runs --json` prints all of it."""


def _outcome(summary: Summary) -> str:
    if not summary.is_finished and summary.status.reason:
        return shorten(
            " ".join(summary.status.reason.split()).partition(". ")[0], MAX_REASON, placeholder=" …"
        )
    headline = summary.headline
    if not headline:
        return _progress(summary) if summary.status.state == "running" else "-"
    return f"{headline[0]} {with_std(headline[1], summary.std_of(headline[0]))}"


def _epoch(summary: Summary) -> str:
    if has_folds(summary.directory):
        done = summary.results.get("by_fold") or finished_folds(summary.directory)
        return f"{len(done)}/{(summary.config.get('folds') or {}).get('num_folds', 5)} folds"
    trainer = summary.config.get("trainer")
    planned = trainer.get("max_epochs") if isinstance(trainer, dict) else None
    done = summary.results.get("epoch", summary.status.epoch)
    return f"{done}/{planned}" if planned and planned > 0 else str(done)


def _progress(summary: Summary) -> str:
    """Format the step of a running run, and its best monitored value so far."""
    measured: list[Checkpoint] = []
    with suppress(RunnerError):
        measured = sort_by_metric(summary.checkpoints)
    step = f"step {summary.status.step:,}"
    return f"{step}, {measured[0].monitor} {number(measured[0].value)}" if measured else step


def _time(summary: Summary) -> str:
    status = summary.status
    if status.state == "running" and status.started_at:
        return duration(time.time() - status.started_at)
    return "-" if summary.seconds is None else duration(summary.seconds)


MEANINGS = {
    "valley": "about halfway down the longest decrease (fast.ai)",
    "steepest": "where the loss decreases fastest",
    "minimum/10": "a tenth of the rate with the lowest loss",
    "slide": "where slopes no longer differ, coming from high rates (fast.ai)",
}


def suggestions_table(rates: Mapping[str, float], chosen: str) -> Shown:
    """Return a table of the learning rates that a range test suggests.

    Args:
        rates: rule → learning rate.
        chosen: the rule that ``optimizer.lr=auto`` uses, printed in bold.
    """
    if not rates:
        text = "no learning rate can be suggested: the loss never decreased"
        return Shown(Text(text), [text])
    head = ["suggestion", "lr", "description"]
    rows = [[rule, f"{rate:.3g}", MEANINGS.get(rule, "")] for rule, rate in rates.items()]
    table = Table(*head, box=SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row), style="bold" if row[0] == chosen else None)
    return Shown(table, aligned([head, *rows]))


def plan_panel(plan: Mapping[str, Any]) -> Shown:
    """Return a panel with a line for each label and value; values of None are omitted."""
    rows = [[str(label), _value(value)] for label, value in plan.items() if value is not None]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(Text(name), Text(value))
    return Shown(
        Panel(grid, title="about to run", title_align="left", border_style="cyan", expand=False),
        aligned(rows),
    )


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(item) for item in value)
    return number(value) if isinstance(value, (int, float)) else str(value)


def next_commands(commands: Sequence[str | tuple[str, str]]) -> Shown:
    """Return a list of suggested commands. On a terminal, each stays on one line, ready to be copied.

    Args:
        commands: each a command, or a command and its purpose.
    """
    pairs = [(entry, "") if isinstance(entry, str) else entry for entry in commands]
    lines = ["next:", *aligned([[f"  {command}", purpose] for command, purpose in pairs])]
    return Shown(CommandList(pairs), lines)


class CommandList:
    """Commands with their purposes beside them, or above them if a line would exceed the terminal.

    Args:
        pairs: commands and purposes.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = pairs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max((len(command) for command, _ in self.pairs), default=0)
        fits = width + max((len(purpose) for _, purpose in self.pairs), default=0) + 5 <= options.max_width
        lines = [Text("next:", style="dim")]
        for command, purpose in self.pairs:
            text = Text(f"  {command}", style="cyan")
            if fits:
                text.append(" " * (width - len(command) + 3) + purpose, style="dim")
            elif purpose:
                lines.append(Text(f"  # {purpose}", style="dim"))
            lines.append(text)
        overflow: OverflowMethod = "ignore" if options.no_wrap else "fold"
        yield Text("\n", no_wrap=options.no_wrap, overflow=overflow).join(lines)
