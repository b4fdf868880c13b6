"""Progress of long preparations: a bar on a terminal, occasional plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

__all__ = ["bytes_text", "progress"]

LINE_EVERY_S = 10.0
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def bytes_text(count: float) -> str:
    """Formats a size: ``787 MB`` (decimal units)."""
    power = 0
    while count >= 1000 and power < len(UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.1f} {UNITS[power]}" if power > 0 and count < 10 else f"{count:.0f} {UNITS[power]}"


@contextmanager
def progress(
    label: str, total: int | None, unit: Literal["bytes", "files", "points"] = "bytes", done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Yields ``show(done)``, to be called with the absolute amount done so far.

    Args:
        label: description of the work, such as ``Downloading archive.zip``.
        total: the final amount, if known.
        unit: the unit of amounts, in the plural.
        done: the initial amount, such as the existing part of a resumed download.
    """
    if sys.stderr.isatty():
        with _bar(label, total, unit, done) as show:
            yield show
    else:
        yield _Lines(label, total, unit, done)


@contextmanager
def _bar(label: str, total: int | None, unit: str, done: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    amount = [DownloadColumn(), TransferSpeedColumn()] if unit == "bytes" else [MofNCompleteColumn()]
    columns = [TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(label, total=total, completed=done)
        yield lambda now: bars.update(task, completed=now)


class _Lines:
    """Prints lines at the first call, every ten seconds and at the end."""

    def __init__(self, label: str, total: int | None, unit: str, done: int) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.begun, self.already = time.monotonic(), done
        self.last = self.begun
        of = "" if total is None else f": {self._text(total)}"
        already = f", {self._text(done)} already done" if done else ""
        print(f"{label}{of}{already}", file=sys.stderr, flush=True)

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if done != self.total and now - self.last < LINE_EVERY_S:
            return
        self.last = now
        of = "" if not self.total else f" of {self._text(self.total)} ({100 * done / self.total:.0f} %)"
        print(f"{self.label}: {self._text(done)}{of}{self._left(now, done)}", file=sys.stderr, flush=True)

    def _left(self, now: float, done: int) -> str:
        if not self.total or not self.already < done < self.total:
            return ""
        seconds = (now - self.begun) / (done - self.already) * (self.total - done)
        return f", {seconds:.0f} s left" if seconds < 120 else f", {seconds / 60:.0f} min left"

    def _text(self, count: int) -> str:
        return bytes_text(count) if self.unit == "bytes" else f"{count} {self.unit}"
