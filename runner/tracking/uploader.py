"""Sends to MLflow everything of a run that was not sent yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from runner.run.directory import RunDir
from runner.tracking.artifacts import dataset_input, files_of, fingerprint
from runner.tracking.metric_tail import MirrorState, NewMetrics, Tail, TailState, write_state
from runner.tracking.mlflow_run import RunEntry
from runner.tracking.tags import valid_key

if TYPE_CHECKING:
    from mlflow.entities import Metric

__all__ = ["MAX_METRICS", "SyncReport", "Uploader", "send_in_batches"]


@dataclass
class SyncReport:
    """The result of one pass.

    Attributes:
        run: the run.
        uri: the store.
        run_id: MLflow's id of the run.
        points: number of metric values sent in this pass.
        params: number of parameters sent, likewise.
        tags: number of tags sent, likewise.
        files: number of files sent, likewise.
        status: MLflow's status of the run after the pass.
        complete: whether the run has ended and is completely in the store.
        refused: items that the store rejected, with the reasons.
        error: why the pass stopped early, if it did.
    """

    run: RunDir
    uri: str = ""
    run_id: str | None = None
    points: int = 0
    params: int = 0
    tags: int = 0
    files: int = 0
    status: str | None = None
    complete: bool = False
    refused: list[str] = field(default_factory=list)
    error: str | None = None


MAX_METRICS = 1000  # limit of MLflow 3.17 for one request
REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")

Item = TypeVar("Item")


def send_in_batches(
    items: list[Item], send: Callable[[list[Item]], None], on_refusal: Callable[[], None], size: int
) -> list[tuple[Item, str]]:
    """Send all items in batches. A rejected batch is halved until the invalid items are found.

    Args:
        items: the items.
        send: sends a batch.
        on_refusal: called before a rejected batch is halved; raises if the items are not the cause.
        size: maximum size of a batch.

    Returns:
        The invalid items, each with the store's reason.

    Raises:
        MlflowException: the store cannot be reached, or has an internal error.
    """
    refused: list[tuple[Item, str]] = []
    for start in range(0, len(items), size):
        refused += _send(items[start : start + size], send, on_refusal)
    return refused


def _send(
    items: list[Item], send: Callable[[list[Item]], None], on_refusal: Callable[[], None]
) -> list[tuple[Item, str]]:
    from mlflow.exceptions import MlflowException

    try:
        send(items)
        return []
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            raise
        on_refusal()
        if len(items) == 1:
            return [(items[0], str(error).strip().split("\n")[0])]
    middle = len(items) // 2
    return _send(items[:middle], send, on_refusal) + _send(items[middle:], send, on_refusal)


class Uploader:
    """Sends the parts of a run. The state is stored after each part, so that a kill repeats little.

    Args:
        entry: the run's entry, connected to the store.
        state: the state of the mirror; modified.
        report: the report of the pass; modified.
    """

    def __init__(self, entry: RunEntry, state: MirrorState, report: SyncReport) -> None:
        self.run = entry.run
        self.entry = entry
        self.client = entry.connected
        self.run_id = str(state.run_id)
        self.state = state
        self.report = report

    def send_texts(self, kind: Literal["params", "tags"], values: Mapping[str, str]) -> None:
        """Send new parameters or tags.

        MLflow does not allow a parameter to change, so the new value of a resumed run becomes the tag
        ``runner.changed.KEY``.

        Args:
            kind: kind of the values.
            values: name → value.
        """
        from mlflow.entities import Param, RunTag

        sent: dict[str, str] = getattr(self.state, kind)
        new = {key: value for key, value in values.items() if sent.get(key) != digest(value)}
        if not new:
            return
        entities: list[Any]
        if kind == "params":
            changed = {valid_key(f"runner.changed.{key}"): new[key] for key in new.keys() & sent.keys()}
            entities = [Param(key, value) for key, value in new.items() if key not in sent]
            self.send_texts("tags", changed)
        else:
            entities = [RunTag(key, value) for key, value in new.items()]
        self._send(entities, kind)
        sent.update({key: digest(value) for key, value in new.items()})
        setattr(self.report, kind, getattr(self.report, kind) + len(entities))
        write_state(self.run, self.state)

    def send_points(self, name: str, path: Path) -> None:
        """Send the new metric points of a file.

        Args:
            name: name of the file in the mirror's state.
            path: the file.
        """
        tail = Tail(path, self.state.tails.setdefault(name, TailState()))
        before = tail.state.offset
        batch: list[Metric] = []
        for point in tail:
            batch += metrics_of(point)
            if len(batch) >= MAX_METRICS:
                self._send_metrics(tail, batch)
                batch = []
        if batch or tail.state.offset != before:
            self._send_metrics(tail, batch)

    def send_dataset(self, facts: dict[str, Any]) -> None:
        """Log the data set as an input of the run, once its facts are known.

        Args:
            facts: the content of ``facts.json``; empty before it is known.
        """
        if not facts:
            return
        facts_digest = digest(str(sorted(facts.items(), key=str)))
        if facts_digest != self.state.dataset:
            self.client.log_inputs(self.run_id, datasets=[dataset_input(facts)])
            self.state.dataset = facts_digest
            write_state(self.run, self.state)

    def send_files(self, has_ended: bool, checkpoints: bool) -> None:
        """Send the files that are new or have changed; arguments as for `files_of`."""
        for relative in files_of(self.run, has_ended, checkpoints):
            path = self.run.path / relative
            current = fingerprint(path)
            if self.state.files.get(str(relative)) == current:
                continue
            folder = None if relative.parent == Path(".") else relative.parent.as_posix()
            self.client.log_artifact(self.run_id, str(path), folder)
            self.state.files[str(relative)] = current
            self.report.files += 1
            write_state(self.run, self.state)

    def _send_metrics(self, tail: Tail, batch: list[Metric]) -> None:
        self._send(batch, "metrics", MAX_METRICS)
        tail.settle()
        self.report.points += len(batch)
        write_state(self.run, self.state)

    def _send(self, entities: list[Any], kind: str, size: int = 100) -> None:
        def send(items: list[Any]) -> None:
            by_kind: dict[str, Any] = {kind: items}
            self.client.log_batch(self.run_id, **by_kind)

        refused = send_in_batches(entities, send, lambda: self.entry.require_active(self.run_id), size)
        for entity, reason in refused:
            self.report.refused.append(f"{entity.key}={entity.value}: {reason}")


def metrics_of(point: NewMetrics) -> list[Metric]:
    from mlflow.entities import Metric

    time_ms = int(point.time * 1000)
    return [
        Metric(valid_key(key), float(value), time_ms, 0 if is_single(key) else point.step)
        for key, value in point.metrics.items()
    ]


def is_single(key: str) -> bool:
    """Return whether a metric has one value; MLflow 3.17 draws a bar for it if its step is 0."""
    return key.startswith(("test/", "baseline/"))


def digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
