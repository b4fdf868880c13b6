"""How a sweep goes, on the console: a table on a terminal, a line for each trial elsewhere."""

from __future__ import annotations

import time
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from runner.report.format import duration, number
from runner.sweep.book import Book
from runner.sweep.supervise import Running
from runner.sweep.trial import Outcome

__all__ = ["SweepView"]

DRAW_EVERY_S = 0.5


class SweepView:
    """
    Args:
        metric: what is searched by, for the head of the column.
        console: where to show it.
    """

    def __init__(self, book: Book, metric: str, console: Console):
        self.book = book
        self.metric = metric
        self.console = console
        self._began_at = time.monotonic()
        self._done_before = sum(t.state.is_finished() for t in book.trials())
        self._drawn_at = 0.0
        self._live = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def ended(self, running: Running, outcome: Outcome) -> None:
        """One line."""
        done = sum(t.state.is_finished() for t in self.book.trials())
        what = number(outcome.value) if outcome.state == "complete" else outcome.state
        why = f" ({' '.join(outcome.reason.split())})" if outcome.reason and outcome.state == "failed" else ""
        best = self.book.best()
        parts = [
            f"{done}/{self.book.total}",
            f"trial {running.number}",
            f"{self.metric} {what}{why}" if outcome.state == "complete" else f"{what}{why}",
            " ".join(running.overrides),
            duration(running.spent_s),
            f"best {number(best[0].values[0])} (trial {best[0].number})" if best else "",
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

    def _left(self, done: int) -> str:
        fresh = done - self._done_before
        if fresh < 2 or done >= self.book.total:
            return ""
        left = (time.monotonic() - self._began_at) / fresh * (self.book.total - done)
        return f"{duration(left)} left"

    def _face(self, running: list[Running]) -> Any:
        counts = self.book.counts()
        done = sum(count for state, count in counts.items() if state != "running")
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in ("trial", "epoch", self.metric, "time", "values"):
            table.add_column(name, overflow="fold")
        for one in running:
            value = "-" if one.value is None else number(one.value)
            cells = (
                str(one.number),
                str(one.epoch or "-"),
                value,
                duration(one.seconds()),
                " ".join(one.overrides),
            )
            table.add_row(*(Text(cell) for cell in cells))
        best = self.book.best()
        states = ", ".join(f"{count} {state}" for state, count in counts.items() if state != "running")
        line = f"{done} of {self.book.total} trials" + (f" ({states})" if states else "")
        line += f" · best {number(best[0].values[0])} in trial {best[0].number}" if best else ""
        return Group(table, Text(f"{line} · {self._left(done)}".rstrip(" ·")))
