"""The state of a mirror: everything that has been sent, and the new points of a metrics file."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.journal import read_points
from runner.run.status import Status

__all__ = ["MirrorState", "NewMetrics", "Tail", "TailState", "end_of", "read_state", "write_state"]


@dataclass
class TailState:
    """The position up to which a file was read.

    Attributes:
        offset: number of bytes read.
        line: offset of the last line read.
        digest: digest of that line, by which a truncated file is detected.
        last: for each metric, the last step sent and the number of its points at that step.
        behind: the same for the last step read, for metrics that were read again after the file was
            truncated; an empty list if the metric has not occurred again.
    """

    offset: int = 0
    line: int = 0
    digest: str = ""
    last: dict[str, list[int]] = field(default_factory=dict)
    behind: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class NewMetrics:
    """The metrics of one line that were not sent yet.

    Attributes:
        step: number of optimizer updates.
        time: seconds since the Unix epoch.
        metrics: metric name → value.
    """

    step: int
    time: float
    metrics: dict[str, float]


class Tail:
    """Iterates over the points of a file that follow ``state``, and advances ``state``.

    A consumer calls `settle` and stores the state after it has sent all points. If it is killed before, it
    gets the same points again.

    Args:
        path: the metrics file.
        state: the position; modified during the iteration.
    """

    def __init__(self, path: Path, state: TailState) -> None:
        self.path = path
        self.state = state

    def __iter__(self) -> Iterator[NewMetrics]:
        state = self.state
        if not self._is_unchanged():
            state.offset = state.line = 0
            state.behind = {key: [] for key in state.last}
        for point in read_points(self.path, state.offset):
            new = {key: value for key, value in point.metrics.items() if self._is_new(key, point.step)}
            state.line, state.offset = state.offset, point.end
            if new:
                yield NewMetrics(point.step, point.time, new)

    def _is_new(self, key: str, step: int) -> bool:
        """Record that a point was read; return whether it follows the last point sent of its metric."""
        last, behind = self.state.last, self.state.behind
        before = behind.get(key, last.get(key))
        now = [step, before[1] + 1 if before and before[0] == step else 1]
        is_new = key not in last or now > last[key]
        if is_new:
            last[key] = now
        if now == last[key]:
            behind.pop(key, None)
        else:
            behind[key] = now
        return is_new

    def settle(self) -> None:
        """Store the digest of the last line read, so that the next reader can detect a truncated file."""
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


@dataclass
class MirrorState:
    """The state of the mirror of one run in one store.

    Attributes:
        run_id: MLflow's id of the run; None before it was created.
        experiment_id: MLflow's id of its experiment.
        token: a tag of the run in MLflow, chosen before the run is created there. A mirror that is killed
            between creating the run and storing its id finds the run by this tag.
        asked_uri: ``tracking.uri`` of the config when this state was created.
        uri: the URI of the store; None for the store next to the runs, which may be moved with them.
        tails: position in each file of metric points.
        params: digest of each parameter sent.
        tags: digest of each tag sent.
        files: modification time in ns and size in bytes of each file sent.
        dataset: digest of the data set's description that was sent.
        model: the logged model: its id and checkpoint, or the reason why it was not logged.
        status: MLflow's status of the run as last sent.
        ended: state, attempt and time of the end that is completely in the store; None before.
    """

    run_id: str | None = None
    experiment_id: str | None = None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    asked_uri: str | None = None
    uri: str | None = None
    tails: dict[str, TailState] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[int]] = field(default_factory=dict)
    dataset: str | None = None
    model: dict[str, Any] | None = None
    status: list[Any] | None = None
    ended: list[Any] | None = None

    def is_complete(self, status: Status) -> bool:
        """Return whether the end recorded in ``status`` is completely in the store."""
        return self.ended == end_of(status)


def end_of(status: Status) -> list[Any]:
    """Return state, attempt and time of the end, which identify the end of a run."""
    return [status.state, status.attempt, status.ended_at]


def read_state(run: RunDir) -> MirrorState:
    """Read the state of a run's mirror; a new state if the run was not mirrored yet."""
    known = {field.name for field in fields(MirrorState)}
    stored = {key: value for key, value in read_json(run.tracking_path, {}).items() if key in known}
    stored["tails"] = {name: TailState(**tail) for name, tail in stored.get("tails", {}).items()}
    return MirrorState(**stored)


def write_state(run: RunDir, state: MirrorState) -> None:
    """Store the state of a run's mirror."""
    write_json(run.tracking_path, asdict(state))
