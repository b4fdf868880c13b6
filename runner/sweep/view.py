"""Displays the progress of a sweep: a live table on a terminal, otherwise a line for each trial."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.report.format import duration, number
from runner.sweep.running_trial import RunningTrial
from runner.sweep.trial import Outcome
from runner.sweep.trial_queue import TrialQueue

__all__ = ["SweepView", "short_names"]

DRAW_INTERVAL_S = 0.5
TAIL_BYTES = 4096
STYLES = {"complete": "green", "pruned": "yellow", "failed": "red"}


class SweepView:
    """Displays the progress of a sweep on a console.

    Args:
        queue: the queue of trials.
        metrics: names of the objectives.
        console: the console to print to.
        max_epochs: number of epochs of a trial.
    """

    def __init__(
        self, queue: TrialQueue, metrics: Sequence[str], console: Console, max_epochs: int | None = None
    ) -> None:
        self.queue = queue
        self.metrics = list(metrics)
        self.console = console
        self.max_epochs = max_epochs
        self.names = short_names([parameter.key for parameter in queue.space.parameters])
        self._started_at = time.monotonic()
        self._done_before = self._num_done()
        self._drawn_at = 0.0
        self._live: Live | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def note(self, text: str) -> None:
        """Print a message."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def ended(self, running: RunningTrial, outcome: Outcome) -> None:
        """Print a line about an ended trial: short on a terminal, complete elsewhere."""
        if self._live is not None:
            self.console.print(self._ended_line(running, outcome))
            return
        done = self._num_done()
        parts = [
            f"{done}/{self.queue.total}",
            f"trial {running.number}",
            self._describe(outcome),
            " ".join(running.overrides),
            duration(running.spent_s),
            self._describe_best(),
            self._time_left(done),
        ]
        self.note("  ".join(part for part in parts if part))

    def update(self, running: list[RunningTrial]) -> None:
        """Redraw the live table, at most twice per second."""
        now = time.monotonic()
        if self._live is not None and now - self._drawn_at >= DRAW_INTERVAL_S:
            self._drawn_at = now
            self._live.update(self._render(running), refresh=True)

    def close(self) -> None:
        """Remove the live table."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _num_done(self) -> int:
        return sum(trial.state.is_finished() for trial in self.queue.trials())

    def _describe(self, outcome: Outcome) -> str:
        if outcome.state == "complete":
            pairs = zip(self.metrics, outcome.values, strict=True)
            return ", ".join(f"{metric} {number(value)}" for metric, value in pairs)
        reason = " ".join((outcome.reason or "").split())
        return f"failed ({reason})" if outcome.state == "failed" and reason else outcome.state

    def _ended_line(self, running: RunningTrial, outcome: Outcome) -> Text:
        line = Text(f"trial {running.number:<3} ")
        line.append(self._describe(outcome), style=STYLES.get(outcome.state, ""))
        line.append(f"  {self.values_of(running)}")
        line.append(f"  {duration(running.spent_s)}", style="dim")
        return line

    def values_of(self, running: RunningTrial) -> str:
        """Return the trial's point with short names and numbers."""
        words = []
        for override in running.overrides:
            key, _, value = override.partition("=")
            words.append(f"{self.names.get(key, key)}={short_value(value)}")
        return " ".join(words)

    def _describe_best(self) -> str:
        best = self.queue.best()
        if not best:
            return ""
        front = len(self.queue.front())
        more = f", {front} on the front" if front > 1 else ""
        return f"best {', '.join(map(number, best[0].values))} (trial {best[0].number}{more})"

    def _time_left(self, done: int) -> str:
        done_here = done - self._done_before
        if done_here < 2 or done >= self.queue.total:
            return ""
        left = (time.monotonic() - self._started_at) / done_here * (self.queue.total - done)
        return f"{duration(left)} left"

    def _render(self, running: list[RunningTrial]) -> Group:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in ("trial", "epoch", "step", self.metrics[0], "time"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("values", overflow="fold")
        for trial in sorted(running, key=lambda trial: trial.number):
            value = "–" if trial.value is None else number(trial.value)
            cells = (str(trial.number), self._epoch(trial), step_of(trial), value, duration(trial.seconds()))
            table.add_row(*(Text(cell) for cell in cells), Text(self.values_of(trial)))
        return Group(table, *self._footer())

    def _epoch(self, trial: RunningTrial) -> str:
        if not trial.epoch:
            return "–" if trial.started_at is not None else "starts"
        has_limit = self.max_epochs is not None and self.max_epochs > 0
        return f"{trial.epoch}/{self.max_epochs}" if has_limit else str(trial.epoch)

    def _footer(self) -> list[Any]:
        """Return a progress bar, and a line with the numbers of ended trials and the best one."""
        counts, done = self.queue.counts(), self._num_done()
        bar = Table.grid(padding=(0, 1))
        left = self._time_left(done)
        bar.add_row(
            ProgressBar(total=self.queue.total, completed=done, width=24),
            Text(f"{done} of {self.queue.total} trials" + (f", {left}" if left else "")),
        )
        line = Text()
        for state, style in STYLES.items():
            if counts[state]:
                line.append(" · " if line else "").append(f"{counts[state]} {state}", style=style)
        best = self._describe_best()
        if best:
            line.append(" · " if line else "").append(best, style="bold")
        return [bar, line] if line else [bar]


def step_of(trial: RunningTrial) -> str:
    """Return the step of the last point in the trial's journal; "–" without one."""
    try:
        with open(trial.run.metrics_path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
            lines = file.read().split(b"\n")[:-1]  # text after the last newline is still being written
        return str(json.loads(lines[-1])["step"])
    except (OSError, IndexError, KeyError, ValueError):
        return "–"


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest unique suffix of each dotted key: ``optimizer.lr`` → ``lr``."""
    names = {}
    for key in keys:
        parts = key.split(".")
        suffixes = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
        others = [f".{other}" for other in keys if other != key]
        names[key] = next(
            (suffix for suffix in suffixes if not any(other.endswith(f".{suffix}") for other in others)), key
        )
    return names


def short_value(text: str) -> str:
    """Return a number in four digits, and any other value unchanged."""
    try:
        value = float(text)
    except ValueError:
        return text
    return text if len(text) <= 6 else f"{value:.4g}"
