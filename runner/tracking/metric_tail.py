"""Progress of a mirror: the points of a metrics file that are new, and what has been sent."""

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

__all__ = ["MirrorState", "Tail", "TailState", "read_state", "write_state"]


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

    def __init__(self, path: Path, state: TailState) -> None:
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


@dataclass
class MirrorState:
    """The state of the mirror of one run in one store.

    Attributes:
        run_id: MLflow's id of the run; None before it was made.
        experiment_id: MLflow's id of its experiment.
        token: a tag of the run in MLflow, known before the run is made there: a mirror killed between making
            the run and writing its id down finds it again.
        asked_uri: ``tracking.uri`` of the config when this state was begun.
        uri: the store in full; None is the one beside the runs, which may move with them.
        tails: how far each file of metric points was shipped.
        params, tags: digest of each value sent.
        files: [modification time in ns, size in bytes] of each file sent.
        dataset: digest of the data set's description sent.
        model: the logged model: its id, the checkpoint it was made of, or why there is none.
        status: MLflow's status of the run as sent last.
        ended: state, attempt and time of the end that is wholly in the store; None while it is not.
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
        """Whether the end that ``status`` tells of is in the store with all that belongs to it."""
        return self.ended == end_of(status)


def end_of(status: Status) -> list[Any]:
    return [status.state, status.attempt, status.ended_at]


def read_state(run: RunDir) -> MirrorState:
    known = {field.name for field in fields(MirrorState)}
    stored = {key: value for key, value in read_json(run.tracking_path, {}).items() if key in known}
    stored["tails"] = {name: TailState(**tail) for name, tail in stored.get("tails", {}).items()}
    return MirrorState(**stored)


def write_state(run: RunDir, state: MirrorState) -> None:
    write_json(run.tracking_path, asdict(state))
