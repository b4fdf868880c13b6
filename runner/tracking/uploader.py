"""Sends to MLflow what a run has and its mirror lacks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.tracking.artifacts import dataset_input, files_of, fingerprint
from runner.tracking.metric_tail import MirrorState, NewMetrics, Tail, TailState, write_state
from runner.tracking.mlflow_run import RunEntry
from runner.tracking.tags import valid_key

if TYPE_CHECKING:
    from mlflow.entities import Metric

__all__ = ["MAX_METRICS", "SyncReport", "Uploader", "send_in_batches"]


@dataclass
class SyncReport:
    """
    Attributes:
        points: metric values sent in this pass; ``params``, ``tags`` and ``files`` likewise.
        status: MLflow's status of the run now.
        complete: the run has ended and all of it is in the store.
        refused: what the store does not take, with its reason.
        error: why the pass stopped early; None when it did not.
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


MAX_METRICS = 1000  # MLflow's limit for one request
REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")

Item = TypeVar("Item")


def send_in_batches(
    items: list[Item], send: Callable[[list[Item]], None], on_refusal: Callable[[], None], size: int
) -> list[tuple[Item, str]]:
    """Sends all items, ``size`` at a time.

    Args:
        on_refusal: called before a refused batch is halved; raises when the fault is not the items'.

    Returns:
        The items the store refuses for what they are, each with the reason.

    Raises:
        MlflowException: the store cannot be reached, or is in trouble itself.
    """
    refused: list[tuple[Item, str]] = []
    for start in range(0, len(items), size):
        refused += _send(items[start : start + size], send, on_refusal)
    return refused


def _send(items, send, on_refusal) -> list[tuple[Item, str]]:
    """One batch; a refused one is halved until the item at fault stands alone."""
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
    """One pass. The state is written as soon as something has arrived, so that a kill repeats little."""

    def __init__(self, entry: RunEntry, state: MirrorState, report: SyncReport) -> None:
        self.run = entry.run
        self.entry = entry
        self.client = entry.client
        self.state = state
        self.report = report

    def send_texts(self, kind: Literal["params", "tags"], values: Mapping[str, str]) -> None:
        """Sends the parameters or tags that are new. MLflow keeps a parameter's first value for good, so a
        later one (of a resumed run) becomes the tag ``runner.changed.KEY``.
        """
        from mlflow.entities import Param, RunTag

        sent: dict[str, str] = getattr(self.state, kind)
        fresh = {key: value for key, value in values.items() if sent.get(key) != digest(value)}
        if not fresh:
            return
        if kind == "params":
            changed = {valid_key(f"runner.changed.{key}"): fresh[key] for key in fresh.keys() & sent.keys()}
            entities = [Param(key, value) for key, value in fresh.items() if key not in sent]
            self.send_texts("tags", changed)
        else:
            entities = [RunTag(key, value) for key, value in fresh.items()]
        self._send(entities, kind)
        sent.update({key: digest(value) for key, value in fresh.items()})
        setattr(self.report, kind, getattr(self.report, kind) + len(entities))
        write_state(self.run, self.state)

    def send_points(self, name: str, path: Path) -> None:
        """Sends the metric points of a file that were not sent yet."""
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

    def send_dataset(self) -> None:
        """Names the data set as an input of the run, once it is known."""
        facts = read_json(self.run.facts_path)
        if not facts:
            return
        fingerprint = digest(str(sorted(facts.items(), key=str)))
        if fingerprint != self.state.dataset:
            self.client.log_inputs(self.state.run_id, datasets=[dataset_input(facts)])
            self.state.dataset = fingerprint
            write_state(self.run, self.state)

    def send_files(self, has_ended: bool, checkpoints: bool) -> None:
        """Sends the files that are new or have changed."""
        for relative in files_of(self.run, has_ended, checkpoints):
            path = self.run.path / relative
            seen = fingerprint(path)
            if self.state.files.get(str(relative)) == seen:
                continue
            folder = None if relative.parent == Path(".") else relative.parent.as_posix()
            self.client.log_artifact(self.state.run_id, str(path), folder)
            self.state.files[str(relative)] = seen
            self.report.files += 1
            write_state(self.run, self.state)

    def _send_metrics(self, tail: Tail, batch: list[Metric]) -> None:
        self._send(batch, "metrics", MAX_METRICS)
        tail.settle()
        self.report.points += len(batch)
        write_state(self.run, self.state)

    def _send(self, entities: list, kind: str, size: int = 100) -> None:
        run_id = self.state.run_id
        refused = send_in_batches(
            entities,
            lambda items: self.client.log_batch(run_id, **{kind: items}),
            lambda: self.entry.require_active(run_id),
            size,
        )
        for entity, reason in refused:
            self.report.refused.append(f"{entity.key}={entity.value}: {reason}")


def metrics_of(point: NewMetrics) -> list[Metric]:
    from mlflow.entities import Metric

    time_ms = int(point.time * 1000)
    return [Metric(valid_key(key), float(value), time_ms, point.step) for key, value in point.metrics.items()]


def digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
