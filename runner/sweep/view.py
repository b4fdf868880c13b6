"""How a sweep goes, on the console: a table on a terminal, a line for each trial elsewhere."""

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
from runner.sweep.running_trial import Running
from runner.sweep.trial import Outcome
from runner.sweep.trial_queue import TrialQueue

__all__ = ["SweepView", "short_names"]

DRAW_EVERY_S = 0.5
TAIL_BYTES = 4096
STYLES = {"complete": "green", "pruned": "yellow", "failed": "red"}


class SweepView:
    """
    Args:
        metrics: what is searched by, the first one in front.
        console: where to show it.
        max_epochs: of a trial.
    """

    def __init__(
        self, book: TrialQueue, metrics: Sequence[str], console: Console, max_epochs: int | None = None
    ) -> None:
        self.book = book
        self.metrics = list(metrics)
        self.console = console
        self.max_epochs = max_epochs
        self.names = short_names([parameter.key for parameter in book.space.parameters])
        self._began_at = time.monotonic()
        self._done_before = self._done()
        self._drawn_at = 0.0
        self._live = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def ended(self, running: Running, outcome: Outcome) -> None:
        """One line a trial: short on a terminal, where the best stands below; whole elsewhere."""
        if self._live is not None:
            self.console.print(self._ended_line(running, outcome))
            return
        done = self._done()
        parts = [
            f"{done}/{self.book.total}",
            f"trial {running.number}",
            self._came_out(outcome),
            " ".join(running.overrides),
            duration(running.spent_s),
            self._best(),
            self._left(done),
        ]
        self.note("  ".join(part for part in parts if part))

    def update(self, running: list[Running]) -> None:
        now = time.monotonic()
        if self._live is not None and now - self._drawn_at >= DRAW_EVERY_S:
            self._drawn_at = now
            self._live.update(self._face(running), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _done(self) -> int:
        return sum(trial.state.is_finished() for trial in self.book.trials())

    def _came_out(self, outcome: Outcome) -> str:
        if outcome.state == "complete":
            pairs = zip(self.metrics, outcome.values, strict=True)
            return ", ".join(f"{metric} {number(value)}" for metric, value in pairs)
        reason = " ".join((outcome.reason or "").split())
        return f"failed ({reason})" if outcome.state == "failed" and reason else outcome.state

    def _ended_line(self, running: Running, outcome: Outcome) -> Text:
        line = Text(f"trial {running.number:<3} ")
        line.append(self._came_out(outcome), style=STYLES.get(outcome.state, ""))
        line.append(f"  {self.values_of(running)}")
        line.append(f"  {duration(running.spent_s)}", style="dim")
        return line

    def values_of(self, running: Running) -> str:
        """The trial's point with short names and numbers."""
        words = []
        for override in running.overrides:
            key, _, value = override.partition("=")
            words.append(f"{self.names.get(key, key)}={short_value(value)}")
        return " ".join(words)

    def _best(self) -> str:
        best = self.book.best()
        if not best:
            return ""
        front = len(self.book.front())
        more = f", {front} on the front" if front > 1 else ""
        return f"best {', '.join(map(number, best[0].values))} (trial {best[0].number}{more})"

    def _left(self, done: int) -> str:
        fresh = done - self._done_before
        if fresh < 2 or done >= self.book.total:
            return ""
        left = (time.monotonic() - self._began_at) / fresh * (self.book.total - done)
        return f"{duration(left)} left"

    def _face(self, running: list[Running]) -> Any:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in ("trial", "epoch", "step", self.metrics[0], "time"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("values", overflow="fold")
        for one in sorted(running, key=lambda one: one.number):
            value = "–" if one.value is None else number(one.value)
            cells = (str(one.number), self._epoch(one), step_of(one), value, duration(one.seconds()))
            table.add_row(*(Text(cell) for cell in cells), Text(self.values_of(one)))
        return Group(table, *self._foot())

    def _epoch(self, one: Running) -> str:
        if not one.epoch:
            return "–" if one.started_at is not None else "starts"
        return f"{one.epoch}/{self.max_epochs}" if self.max_epochs and self.max_epochs > 0 else str(one.epoch)

    def _foot(self) -> list[Any]:
        """A bar with how far it is, how trials ended, and what is best."""
        counts, done = self.book.counts(), self._done()
        bar = Table.grid(padding=(0, 1))
        left = self._left(done)
        bar.add_row(
            ProgressBar(total=self.book.total, completed=done, width=24),
            Text(f"{done} of {self.book.total} trials" + (f", {left}" if left else "")),
        )
        line = Text()
        for state, style in STYLES.items():
            if counts[state]:
                line.append(" · " if line else "").append(f"{counts[state]} {state}", style=style)
        best = self._best()
        if best:
            line.append(" · " if line else "").append(best, style="bold")
        return [bar, line] if line else [bar]


def step_of(one: Running) -> str:
    """Of the last point in the journal of its metrics."""
    try:
        with open(one.run.metrics_path, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
            lines = file.read().split(b"\n")[:-1]  # text after the last newline is still being written
        return str(json.loads(lines[-1])["step"])
    except (OSError, IndexError, KeyError, ValueError):
        return "–"


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The shortest end of each dotted key that no other key has: ``optimizer.lr`` → ``lr``."""
    found = {}
    for key in keys:
        parts = key.split(".")
        ends = (".".join(parts[-n:]) for n in range(1, len(parts) + 1))
        found[key] = next(
            (end for end in ends if not any(o != key and f".{o}".endswith(f".{end}") for o in keys)), key
        )
    return found


def short_value(text: str) -> str:
    """A number in four digits; any other value unchanged."""
    try:
        value = float(text)
    except ValueError:
        return text
    return text if len(text) <= 6 else f"{value:.4g}"
