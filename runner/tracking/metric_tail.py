"""Reads the new points of a growing metrics file, each point once, even if the file was truncated.

A resumed run truncates its journal to the position of its checkpoint and writes the points after it
again, with the same steps and values and another time. They are recognized by their steps and skipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runner.run.journal import read_points

__all__ = ["Tail", "TailState"]


@dataclass
class TailState:
    """How far a file was read.

    Attributes:
        offset: bytes read.
        line: offset of the last line read; with ``digest``, its fingerprint, it tells a file that was cut.
        last: the last step shipped of each metric, and how many points of it have that step.
        behind: the last step read of each metric that was read less far than it was shipped, because the
            file was cut; empty lists for metrics not met again so far.
    """

    offset: int = 0
    line: int = 0
    digest: str = ""
    last: dict[str, list[int]] = field(default_factory=dict)
    behind: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class NewMetrics:
    """The metrics of a line that were not shipped yet; ``time`` in seconds since the epoch."""

    step: int
    time: float
    metrics: dict[str, float]


class Tail:
    """Iterates over the points of ``path`` behind ``state``, moving ``state`` along.

    A consumer that has shipped all it was given calls ``settle`` and stores ``state``. One that is killed
    before that gets the same points again.
    """

    def __init__(self, path: Path, state: TailState):
        self.path = path
        self.state = state

    def __iter__(self) -> Iterator[NewMetrics]:
        state = self.state
        if not self._is_unchanged():
            state.offset = state.line = 0
            state.behind = {key: [] for key in state.last}
        for point in read_points(self.path, state.offset):
            fresh = {key: value for key, value in point.metrics.items() if self._is_fresh(key, point.step)}
            state.line, state.offset = state.offset, point.end
            if fresh:
                yield NewMetrics(point.step, point.time, fresh)

    def _is_fresh(self, key: str, step: int) -> bool:
        """Notes that a point was read; says whether it goes beyond what was shipped of its metric."""
        last, behind = self.state.last, self.state.behind
        before = behind.get(key, last.get(key)) or [None, 0]
        now = [step, before[1] + 1 if before[0] == step else 1]
        is_fresh = key not in last or now > last[key]
        if is_fresh:
            last[key] = now
        if now == last[key]:
            behind.pop(key, None)
        else:
            behind[key] = now
        return is_fresh

    def settle(self) -> None:
        """Fingerprints the last line read, so that the next reader can tell whether it is still there."""
        self.state.digest = self._digest()

    def _is_unchanged(self) -> bool:
        return self.state.offset > 0 and self._digest() == self.state.digest

    def _digest(self) -> str:
        length = self.state.offset - self.state.line
        try:
            with open(self.path, "rb") as file:
                file.seek(self.state.line)
                content = file.read(length)
        except FileNotFoundError:
            content = b""
        return hashlib.sha1(content, usedforsecurity=False).hexdigest()[:16] if len(content) == length else ""
