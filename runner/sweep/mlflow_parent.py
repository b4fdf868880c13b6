"""The parent run of a sweep in MLflow, whose child runs are the trials."""

from __future__ import annotations

import logging
import shlex
import time
from pathlib import Path
from typing import Any

from runner.config.tracking import Tracking
from runner.errors import UserError
from runner.report.format import number
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import Status, process_started_at
from runner.sweep.directory import SweepDir
from runner.sweep.plan import TOKEN, load_plain
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
KILLED = "its process ended without recording a reason (killed?)"

log = logging.getLogger("runner.sweep.mirror")


class SweepAsRun(RunDir):
    """A sweep's folder with the interface of a run, for the mirror."""

    def created_at(self) -> float:
        """Return the time at which the first trial was created; the folder itself changes all the time."""
        first = SweepDir(self.path).trial(0)
        return first.created_at() if first.path.is_dir() else super().created_at()


class ParentRun:
    """The sweep's run in MLflow. Sending is idempotent; its state is stored in ``tracking.json``.

    Args:
        sweep: the sweep.
        uri: store to mirror to from now on; None for that of the config.

    Attributes:
        entry: the run's entry in the store.
    """

    def __init__(self, sweep: SweepDir, uri: str | None = None) -> None:
        self.sweep = sweep
        self.entry = RunEntry(SweepAsRun(sweep.path), uri)
        self._state: MirrorState | None = None
        self._sent_trials: set[int] = set()
        self._ended_trials = -1
        self._waiting_since: float | None = None

    @property
    def state(self) -> MirrorState:
        """State of the mirror.

        Raises:
            RuntimeError: `open` was not called.
        """
        if self._state is None:
            raise RuntimeError("the sweep's run in MLflow was not opened")
        return self._state

    @property
    def run_id(self) -> str:
        """Id of the run in MLflow; empty before `open`."""
        return (self._state.run_id or "") if self._state else ""

    @property
    def status(self) -> str:
        """MLflow's status of the sweep as last sent; empty before."""
        return str(self._state.status[0]) if self._state and self._state.status else ""

    def open(self) -> None:
        """Find the run in the store, or create it."""
        settings = Tracking.from_config(load_plain(self.sweep.base_path))
        if self._state is None:
            self.entry.token = load_study(self.sweep).user_attrs.get(TOKEN)
            if not self.is_here and settings.uri:
                self._wait_for_first_machine(settings, settings.uri)
        state = self.entry.connect(settings)
        if self._state is None or state.run_id != self.run_id:
            self._sent_trials, self._ended_trials = set(), -1
        self._state = state

    def send(self, final: bool) -> None:
        """Send the results so far.

        Args:
            final: whether the sweep has ended and all its trials are in the store.
        """
        if not self.is_here:
            return
        status = self.sweep_status()
        if not final:
            # The final status is sent last. Until then the sweep runs, or its mirror has not caught up.
            self.entry.set_status(self.state, Status("running"))
        record = read_record(self.sweep)
        uploader = Uploader(self.entry, self.state, SyncReport(RunDir(self.sweep.path)))
        ended = len(record.trials) - record.counts()["running"]
        if ended != self._ended_trials or final:
            uploader.send_texts("params", params_of(record))
            self._send_metrics(record)
            self._mark_best(record)
            self._ended_trials = ended
        uploader.send_texts("tags", tags_of(record, status))
        if final:
            self._send_files()
            self.entry.set_status(self.state, status)
            self.state.ended = end_of(status)
        write_state(self.entry.run, self.state)

    @property
    def is_here(self) -> bool:
        """Whether this machine has the results of the sweep; false if it only joined the sweep."""
        return self.sweep.status_path.is_file()

    def _wait_for_first_machine(self, settings: Tracking, uri: str) -> None:
        """Give the machine that started the sweep time to create the common parent run.

        Raises:
            UserError: the run does not exist yet; after a while this machine may create it.
        """
        self._waiting_since = self._waiting_since or time.monotonic()
        client = open_store(absolute_uri(self.entry.asked_uri or uri))
        experiment = client.get_experiment_by_name(settings.experiment)
        matches = experiment and client.search_runs(
            [experiment.experiment_id], f"tags.`{RUN_TOKEN}` = '{self.entry.token}'", max_results=1
        )
        if not matches and time.monotonic() - self._waiting_since < WAIT_FOR_FIRST_S:
            raise UserError("the sweep's own run is not in MLflow yet.")

    def send_page(self) -> None:
        """Draw the plots and the report page and send them; failures are only logged."""
        if not self.is_here:
            return
        from runner.sweep.report.page import write_sweep_report

        try:
            write_sweep_report(self.sweep)
            self._send_files()
        except Exception:
            log.exception("the page was not sent")

    def log_best_model(self) -> None:
        """Log the best trial's model, if the config requests it."""
        settings = Tracking.from_config(load_plain(self.sweep.base_path))
        best = read_record(self.sweep).best()
        if best is not None and self.is_here and settings.log_model:
            from runner.tracking.model import log_model

            log.info("model of trial %s: %s", best.number, log_model(best.run))

    def has_ended(self) -> bool:
        """Return whether the end of the sweep, as recorded in its folder, is in the store."""
        return read_state(RunDir(self.sweep.path)).is_complete(self.sweep_status())

    def is_taken_over(self) -> bool:
        """Return whether a process runs the sweep."""
        return self.sweep_status().state == "running"

    def sweep_status(self) -> Status:
        """Return the current status of the sweep in the form of a run's status.

        A sweep that is recorded as running but whose process is gone was killed.
        """
        stored = read_json(self.sweep.status_path, {})
        state = stored.get("state", "created")
        ended_at = self.sweep.status_path.stat().st_mtime if self.sweep.status_path.is_file() else time.time()
        if state == "running":
            if process_started_at(stored["pid"]) == stored.get("pid_started_at"):
                return Status("running")
            return Status("lost", reason=KILLED, ended_at=ended_at)
        return Status(state, ended_at=ended_at)

    def _send_metrics(self, record: SweepRecord) -> None:
        """Send each trial's values with its number as the step, the best so far, and the counts by state."""
        from mlflow.entities import Metric

        client = self.entry.connected
        metrics: list[Metric] = []
        best: list[float | None] = [None] * len(record.metrics)
        for trial in record.of("complete"):
            at_ms = int((trial.ended_at or 0) * 1000)
            for i, name in enumerate(record.metrics):
                value, best_before = trial.value(i), best[i]
                if best_before is None:
                    best_now = value
                elif record.lower_is_better[i]:
                    best_now = value if value < best_before else best_before
                else:
                    best_now = value if value > best_before else best_before
                best[i] = best_now
                if trial.number not in self._sent_trials:
                    metrics.append(Metric(valid_key(f"trial/{name}"), value, at_ms, trial.number))
                    metrics.append(Metric(valid_key(f"best/{name}"), best_now, at_ms, trial.number))
            self._sent_trials.add(trial.number)
        counts, at_ms = record.counts(), int(time.time() * 1000)
        metrics += [Metric(f"trials/{s}", counts[s], at_ms, 0) for s in ("complete", "pruned", "failed")]

        def send(items: list[Metric]) -> None:
            client.log_batch(self.run_id, metrics=items)

        send_in_batches(metrics, send, lambda: self.entry.require_active(self.run_id), 500)

    def _mark_best(self, record: SweepRecord) -> None:
        """Tag the runs of the best trials, and remove the tag from all others."""
        client = self.entry.connected
        front = {trial.number for trial in record.front()}
        run_ids = (read_state(self.sweep.trial(number)).run_id for number in front)
        wanted = {run_id for run_id in run_ids if run_id is not None}
        marked = client.search_runs(
            [str(self.state.experiment_id)], f"tags.`{PARENT}` = '{self.run_id}' and tags.`{BEST}` = 'true'"
        )
        known = {run.info.run_id for run in marked}
        for run_id in known - wanted:
            client.delete_tag(run_id, BEST)
        for run_id in wanted - known:
            client.set_tag(run_id, BEST, "true")

    def _send_files(self) -> None:
        client = self.entry.connected
        paths = [self.sweep.path / name for name in FILES] + sorted(self.sweep.plots.glob("*.png"))
        for path in paths:
            relative = str(path.relative_to(self.sweep.path))
            if not path.is_file() or self.state.files.get(relative) == fingerprint(path):
                continue
            folder = None if path.parent == self.sweep.path else path.parent.name
            client.log_artifact(self.run_id, str(path), folder)
            self.state.files[relative] = fingerprint(path)
            write_state(self.entry.run, self.state)


def params_of(record: SweepRecord) -> dict[str, str]:
    """Return the space, the sampler and pruner, and the overrides shared by all trials."""
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
    """Return a Markdown description: progress, best trials, and commands for the next steps."""
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
            cells = [str(trial.number), *map(number, trial.values or ())]
            cells += [str(trial.params.get(key, "–")) for key in keys]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    name = Path(record.sweep.path).name
    return "\n".join([*lines, f"`runner report {name}` · `runner sweep best {name}`"])
