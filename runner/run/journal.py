"""The metrics of a run, one JSON line per point, and its rollbacks."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json

__all__ = ["Journal", "Point", "add_rollback", "load_metrics", "read_points", "read_rollbacks"]

ROLLBACKS = "roll_backs.json"


def read_rollbacks(run: RunDir) -> list[dict[str, Any]]:
    """Return the rollbacks, oldest first.

    Each has a ``reason``, a ``checkpoint`` (None for the start of training) and an ``lr_factor``.
    """
    entries: list[dict[str, Any]] = read_json(run.path / ROLLBACKS, [])
    return entries


def add_rollback(run: RunDir, reason: str, checkpoint: str | None, lr_factor: float) -> None:
    """Record a rollback, durably.

    Args:
        run: the run that was rolled back.
        reason: why, such as the non-finite value.
        checkpoint: file name of the checkpoint that training resumes from; None for the start of training.
        lr_factor: factor applied to the learning rate from here on.
    """
    entry = {
        "reason": reason,
        "checkpoint": checkpoint,
        "lr_factor": lr_factor,
        "time": round(time.time(), 3),
    }
    write_json(run.path / ROLLBACKS, [*read_rollbacks(run), entry], durable=True)


FLUSH_EVERY_S = 1.0
WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Point:
    """The metrics of one step.

    Attributes:
        step: number of optimizer updates done.
        epoch: epoch of the last update, counted from 0.
        time: seconds since the Unix epoch.
        metrics: metric name → value.
        end: byte offset in the file just after this point.
    """

    step: int
    epoch: int
    time: float
    metrics: dict[str, float]
    end: int


class Journal:
    """Appends points to a file.

    Lines are buffered for up to a second, so that most steps cost no system call.

    Args:
        path: the file; created if missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open(self.path, "ab")  # noqa: SIM115 - stays open for the whole run
        self._drop_torn_line()
        self._offset = self._file.tell()
        self._lines: list[bytes] = []
        self._flushed_at = time.monotonic()

    def _drop_torn_line(self) -> None:
        size = self.path.stat().st_size
        if size == 0:
            return
        with open(self.path, "rb") as file:
            file.seek(max(0, size - 1))
            if file.read(1) == b"\n":
                return
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
        self._file.truncate(whole)
        self._file.seek(0, os.SEEK_END)

    @property
    def offset(self) -> int:
        """Number of bytes written so far, including buffered ones. Checkpoints store it."""
        return self._offset

    def log(self, step: int, epoch: int, metrics: dict[str, float]) -> None:
        """Append a point with the current time."""
        numbers = {key: _encode(float(value)) for key, value in metrics.items()}
        point = {"step": step, "epoch": epoch, "time": round(time.time(), 3), "metrics": numbers}
        line = json.dumps(point, separators=(",", ":")).encode() + b"\n"
        self._lines.append(line)
        self._offset += len(line)
        if time.monotonic() - self._flushed_at > FLUSH_EVERY_S:
            self.flush()

    def flush(self, durable: bool = False) -> None:
        """Write the buffered lines; with ``durable``, wait until the disk has stored them."""
        if self._lines:
            self._file.write(b"".join(self._lines))
            self._lines.clear()
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())
        self._flushed_at = time.monotonic()

    def truncate(self, offset: int) -> None:
        """Remove every point after byte ``offset``; a resumed run writes them again."""
        self.flush()
        if offset > self._offset:
            raise ValueError(f"offset {offset} lies beyond the end of {self.path} ({self._offset} bytes)")
        self._file.truncate(offset)
        self._file.seek(0, os.SEEK_END)
        self._offset = offset

    def close(self) -> None:
        """Write the buffered lines durably and close the file."""
        if not self._file.closed:
            self.flush(durable=True)
            self._file.close()


def _encode(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def read_points(path: str | Path, offset: int = 0) -> Iterator[Point]:
    """Yield the points from byte ``offset`` on, except an incomplete last line."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by the with statement below
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            record = json.loads(line)
            metrics = {k: WORDS[v] if isinstance(v, str) else v for k, v in record["metrics"].items()}
            yield Point(record["step"], record["epoch"], record["time"], metrics, offset)


def load_metrics(path: str | Path) -> dict[str, list[tuple[int, int, float]]]:
    """Return every metric's history as ``(step, epoch, value)``, in the order of writing."""
    history: dict[str, list[tuple[int, int, float]]] = {}
    for point in read_points(path):
        for key, value in point.metrics.items():
            history.setdefault(key, []).append((point.step, point.epoch, value))
    return history
