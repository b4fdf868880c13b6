"""The run in MLflow that stands for a whole sweep, and has its trials as children."""

from __future__ import annotations

import logging
import shlex
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from runner.config.tracking import Tracking
from runner.errors import UserError
from runner.report.format import number
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.format import read_stored_config
from runner.run.status import Status, process_started_at
from runner.sweep.directory import SweepDir
from runner.sweep.plan import TOKEN
from runner.sweep.study import load_study
from runner.sweep.sweep_summary import SweepRecord, read_record
from runner.tracking.artifacts import fingerprint
from runner.tracking.child_runs import PARENT
from runner.tracking.metric_tail import MirrorState, end_of, read_state, write_state
from runner.tracking.mlflow_run import TOKEN as RUN_TOKEN
from runner.tracking.mlflow_run import RunEntry
from runner.tracking.store import absolute_uri, open_store
from runner.tracking.tags import user, valid_key
from runner.tracking.uploader import SyncReport, Uploader, send_in_batches

__all__ = ["ParentRun"]

BEST = "runner.best"
FILES = ("sweep.yaml", "base.yaml", "best.yaml", "report.html")
NUM_IN_NOTE = 5
WAIT_FOR_FIRST_S = 120.0
KILLED = "its process ended without a word (killed?)"

log = logging.getLogger("runner.sweep.mirror")


class Folder(RunDir):
    """A sweep's folder, as the mirror of a run takes it."""

    def created_at(self) -> float:
        """When the first trial was created: the folder and its files change while the sweep runs."""
        first = SweepDir(self.path).trial(0)
        return first.created_at() if first.path.is_dir() else super().created_at()


class ParentRun:
    """The sweep's run in MLflow. Sending is idempotent; the state is kept in ``tracking.json``.

    Args:
        uri: mirror to this store from now on; None is the one of the config.

    Attributes:
        run_id: in MLflow; empty before ``open``.
        status: of the sweep in MLflow, as sent last.
    """

    def __init__(self, sweep: SweepDir, uri: str | None = None) -> None:
        self.sweep = sweep
        self.entry = RunEntry(Folder(sweep.path), uri)
        self.state: MirrorState | None = None
        self._told: set[int] = set()
        self._ended_trials = -1
        self._waits_since: float | None = None

    @property
    def run_id(self) -> str:
        return "" if self.state is None else self.state.run_id

    @property
    def status(self) -> str:
        return self.state.status[0] if self.state and self.state.status else ""

    def open(self) -> None:
        """Finds the run in the store, or makes it there."""
        base = OmegaConf.to_container(read_stored_config(self.sweep.base_path), resolve=False)
        settings = Tracking.from_config(base)
        if self.state is None:
            self.entry.token = load_study(self.sweep).user_attrs.get(TOKEN)
            if not self.is_here and settings.uri:
                self._wait_for_the_first(settings)
        state = self.entry.connect(settings)
        if self.state is None or state.run_id != self.run_id:
            self._told, self._ended_trials = set(), -1
        self.state = state

    def send(self, final: bool) -> None:
        """What came out so far.

        Args:
            final: the sweep has ended, and all its trials are in the store.
        """
        if not self.is_here:
            return
        status = self.sweep_status()
        if not final:
            # Final states are sent last: until then the sweep runs, or its mirror has not reached them.
            self.entry.set_status(self.state, Status("running"))
        record = read_record(self.sweep)
        shipment = Uploader(self.entry, self.state, SyncReport(RunDir(self.sweep.path)))
        ended = len(record.trials) - record.counts()["running"]
        if ended != self._ended_trials or final:
            shipment.send_texts("params", params_of(record))
            self._send_metrics(record)
            self._mark_best(record)
            self._ended_trials = ended
        shipment.send_texts("tags", tags_of(record, status))
        if final:
            self._send_files()
            self.entry.set_status(self.state, status)
            self.state.ended = end_of(status)
        write_state(self.entry.run, self.state)

    @property
    def is_here(self) -> bool:
        """False on a machine that only joined the sweep and keeps its own trials: the results are sent from
        elsewhere.
        """
        return self.sweep.status_path.is_file()

    def _wait_for_the_first(self, settings: Tracking) -> None:
        """On a machine that only takes part: gives the one that began the sweep time to make the run they
        share.

        Raises:
            UserError: it has not yet; after a while this machine may make it.
        """
        self._waits_since = self._waits_since or time.monotonic()
        client = open_store(absolute_uri(self.entry.asked_uri or settings.uri))
        experiment = client.get_experiment_by_name(settings.experiment)
        found = experiment and client.search_runs(
            [experiment.experiment_id], f"tags.`{RUN_TOKEN}` = '{self.entry.token}'", max_results=1
        )
        if not found and time.monotonic() - self._waits_since < WAIT_FOR_FIRST_S:
            raise UserError("the sweep's own run is not in MLflow yet.")

    def send_page(self) -> None:
        """Draws the plots and the page and sends them; a page that cannot be drawn costs nothing else."""
        if not self.is_here:
            return
        from runner.sweep.report.page import write_sweep_report

        try:
            write_sweep_report(self.sweep)
            self._send_files()
        except Exception:
            log.exception("the page was not sent")

    def log_best_model(self) -> None:
        """Logs the best trial's model, where the config asks for models."""
        base = OmegaConf.to_container(read_stored_config(self.sweep.base_path), resolve=False)
        best = read_record(self.sweep).best()
        if best is not None and self.is_here and Tracking.from_config(base).log_model:
            from runner.tracking.model import log_model

            log.info("model of trial %s: %s", best.number, log_model(best.run))

    def has_ended(self) -> bool:
        """Whether the end of the sweep, as it stands on the disk, is in the store."""
        return read_state(RunDir(self.sweep.path)).is_complete(self.sweep_status())

    def is_taken_over(self) -> bool:
        """Whether a process is at the sweep."""
        return self.sweep_status().state == "running"

    def sweep_status(self) -> Status:
        """The sweep's status as a run's.

        One that says it is running, but whose process is gone, was killed.
        """
        found = read_json(self.sweep.status_path, {})
        state = found.get("state", "created")
        ended_at = self.sweep.status_path.stat().st_mtime if self.sweep.status_path.is_file() else time.time()
        if state == "running":
            if process_started_at(found["pid"]) == found.get("pid_started_at"):
                return Status("running")
            return Status("lost", reason=KILLED, ended_at=ended_at)
        return Status(state, ended_at=ended_at)

    def _send_metrics(self, record: SweepRecord) -> None:
        """Each trial's values at its number, with the best so far; and how many ended how."""
        from mlflow.entities import Metric

        metrics, best = [], [None] * len(record.metrics)
        for trial in record.of("complete"):
            at_ms = int((trial.ended_at or 0) * 1000)
            for i, name in enumerate(record.metrics):
                value = trial.value(i)
                better = best[i] is None or (
                    value < best[i] if record.lower_is_better[i] else value > best[i]
                )
                best[i] = value if better else best[i]
                if trial.number not in self._told:
                    metrics.append(Metric(valid_key(f"trial/{name}"), value, at_ms, trial.number))
                    metrics.append(Metric(valid_key(f"best/{name}"), best[i], at_ms, trial.number))
            self._told.add(trial.number)
        counts, at_ms = record.counts(), int(time.time() * 1000)
        metrics += [Metric(f"trials/{s}", counts[s], at_ms, 0) for s in ("complete", "pruned", "failed")]
        send_in_batches(
            metrics,
            lambda items: self.entry.client.log_batch(self.run_id, metrics=items),
            lambda: self.entry.require_active(self.run_id),
            500,
        )

    def _mark_best(self, record: SweepRecord) -> None:
        """The best trial's run bears a tag, and no other does."""
        front = {trial.number for trial in record.front()}
        wanted = {read_state(self.sweep.trial(n)).run_id for n in front} - {None}
        marked = self.entry.client.search_runs(
            [self.state.experiment_id], f"tags.`{PARENT}` = '{self.run_id}' and tags.`{BEST}` = 'true'"
        )
        known = {run.info.run_id for run in marked}
        for run_id in known - wanted:
            self.entry.client.delete_tag(run_id, BEST)
        for run_id in wanted - known:
            self.entry.client.set_tag(run_id, BEST, "true")

    def _send_files(self) -> None:
        paths = [self.sweep.path / name for name in FILES] + sorted(self.sweep.plots.glob("*.png"))
        for path in paths:
            relative = str(path.relative_to(self.sweep.path))
            if not path.is_file() or self.state.files.get(relative) == fingerprint(path):
                continue
            folder = None if path.parent == self.sweep.path else path.parent.name
            self.entry.client.log_artifact(self.run_id, str(path), folder)
            self.state.files[relative] = fingerprint(path)
            write_state(self.entry.run, self.state)


def params_of(record: SweepRecord) -> dict[str, str]:
    """The space, what chooses in it, and what all trials have in common."""
    params = {valid_key(f"space.{key}"): str(text) for key, text in record.plan["space"].items()}
    for key in ("sampler", "pruner", "num_trials", "seed"):
        params[f"sweep.{key}"] = str(record.settings.get(key))
    for override in record.plan.get("overrides") or []:
        key, _, value = override.partition("=")
        params[valid_key(key.lstrip("+~"))] = value
    return params


def tags_of(record: SweepRecord, status: Status) -> dict[str, str]:
    best = record.best()
    tags: dict[str, Any] = {
        "runner.kind": "sweep",
        "runner.directory": str(record.sweep.path),
        "runner.state": status.state,
        "runner.reason": status.reason,
        "runner.best_trial": None if best is None else best.number,
        "mlflow.user": user(),
        "mlflow.source.name": command_of(record),
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": note_of(record, status),
    }
    return {key: str(value) for key, value in tags.items() if value is not None}


def command_of(record: SweepRecord) -> str:
    experiment = [record.plan["experiment"]] if record.plan.get("experiment") else []
    space = [f"{key}={text}" for key, text in record.plan["space"].items()]
    return shlex.join(["runner", "sweep", *experiment, *(record.plan.get("overrides") or []), *space])


def note_of(record: SweepRecord, status: Status) -> str:
    """Markdown: how far the sweep is, its best trials, how to go on."""
    counts = record.counts()
    done = sum(counts.values()) - counts["running"]
    words = ", ".join(f"{counts[s]} {s}" for s in ("complete", "pruned", "failed") if counts[s])
    lines = [
        f"**{record.sweep.name}** · {status.state} · {done} of {record.total} trials "
        f"({words or 'none ended'})",
        "",
    ]
    ranked = record.front() if len(record.metrics) > 1 else record.ranked()
    if ranked:
        keys = record.keys
        lines.append("| " + " | ".join(["trial", *record.metrics, *keys]) + " |")
        lines.append("|" + "---|" * (1 + len(record.metrics) + len(keys)))
        for trial in ranked[:NUM_IN_NOTE]:
            cells = [str(trial.number), *map(number, trial.values)]
            cells += [str(trial.params.get(key, "–")) for key in keys]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    name = Path(record.sweep.path).name
    return "\n".join([*lines, f"`runner report {name}` · `runner sweep best {name}`"])
