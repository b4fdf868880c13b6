"""What a mirror remembers of what it has shipped: ``tracking.json`` in the run directory."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.status import Status
from runner.tracking.metric_tail import TailState

__all__ = ["MirrorState", "read_state", "write_state"]


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
