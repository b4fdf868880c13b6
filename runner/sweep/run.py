"""Runs a sweep: creates its folder and study, and executes its trials."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from filelock import FileLock, Timeout

from runner.config.plain import to_plain
from runner.config.tracking import Tracking
from runner.errors import ConfigError, Problem, RunFailedError, UserError
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.format import FORMAT_VERSION
from runner.run.provenance import collect_provenance
from runner.run.status import process_started_at
from runner.sweep.best import write_best
from runner.sweep.directory import SweepDir
from runner.sweep.executors.choose import make_executor
from runner.sweep.executors.pool import cores
from runner.sweep.executors.slots import Slot, make_slots, visible_gpus
from runner.sweep.mirror import finish_mirror, start_mirror
from runner.sweep.plan import IS_READY, store_plan
from runner.sweep.request import Request
from runner.sweep.sampler import make_pruner
from runner.sweep.storage import lock_of
from runner.sweep.study import open_study
from runner.sweep.supervise import Supervisor, View
from runner.sweep.sweep_summary import read_record
from runner.sweep.trial_queue import TrialQueue

__all__ = ["Sweeping", "sweep_dir_of"]

MakeView = Callable[[SweepDir, TrialQueue], View]


def sweep_dir_of(request: Request) -> SweepDir:
    """Return the folder of a sweep.

    Equal commands have the same folder, so that repeating a command continues the sweep.
    """
    config, choices = request.base.config, request.base.choices
    name = request.settings.name or f"sweep_{choices.get('model', 'model')}_{choices.get('data', 'data')}"
    return SweepDir(RunDir(config.run.root).path.absolute() / name)


class Sweeping:
    """A process that executes trials of a sweep.

    Args:
        request: settings, space and shared config.
        command: the command line, recorded in the provenance of each trial.
        make_view: creates the view that displays the progress.
        sweep: the sweep's folder; None derives it from the request.
        joins: whether this process joins a sweep that another process has started and will end.
    """

    def __init__(
        self,
        request: Request,
        command: list[str],
        make_view: MakeView,
        sweep: SweepDir | None = None,
        joins: bool = False,
    ) -> None:
        self.request = request
        self.settings = request.settings
        self.command = command
        self.make_view = make_view
        self.sweep = sweep or sweep_dir_of(request)
        self.joins = joins
        self.plain = to_plain(request.base.config, [])
        self.metric = next(iter(request.objectives))

    def run(self) -> TrialQueue:
        """Execute trials until all have ended; a process that joined stops when no trial is left to start.

        Returns:
            The queue with all trials.

        Raises:
            ConfigError: the folder or the study contains a different search.
            UserError: another process runs this sweep.
            RunFailedError: no trial was completed.
            Interrupted: this process received a signal.
        """
        slots = self._slots()
        self._make_folder()
        if self.joins:
            return self._search(slots)
        with self._exclusive():
            return self._search(slots)

    def _search(self, slots: list[Slot]) -> TrialQueue:
        url = self.settings.storage
        study = open_study(self.sweep, url, self.request.objectives)
        study.pruner = make_pruner(self.settings, self.plain["trainer"].get("max_epochs"))
        notes = [] if self.joins else store_plan(self.sweep, study, self.request)
        queue = TrialQueue(study, self.request.space, self.settings, lock_of(self.sweep, url))
        points, point_notes = self._points(queue)
        with closing(make_executor(self.sweep, self.plain, self.request.space.as_dict())) as executor:
            view = self.make_view(self.sweep, queue)
            if not self.joins:
                queue.enqueue(points)
                study.set_user_attr(IS_READY, True)
                for text in [*notes, *point_notes]:
                    view.note(text)
            self._write_status("running", queue)
            mirror = self._start_mirror()
            state = "interrupted"
            try:
                provenance, _ = collect_provenance(self.command, self.request.base.config.seed)
                Supervisor(
                    self.sweep,
                    self.request,
                    queue,
                    executor,
                    view,
                    provenance,
                    slots,
                    num_threads=self._num_threads(),
                    stays=not self.joins,
                ).run()
                state = "finished" if queue.best() else "failed"
            finally:
                self._write_status(state, queue)
                write_best(read_record(self.sweep))
                if mirror is not None:
                    view.note(finish_mirror(self.sweep, mirror, self.plain["tracking"]["wait_s"]))
        if state == "failed" and not self.joins:
            reasons = [trial.user_attrs.get("reason") for trial in queue.trials()]
            raise RunFailedError(f"none of {queue.total} trials was completed. The first: {reasons[0]}")
        return queue

    def _start_mirror(self) -> subprocess.Popen[bytes] | None:
        """Start a mirror, unless that of the process that started the sweep also sends these trials."""
        if self.joins and self.sweep.status_path.is_file():
            return None
        return start_mirror(self.sweep, Tracking.from_config(self.plain))

    def _slots(self) -> list[Slot]:
        hardware = self.plain["hardware"]
        uses_gpus = hardware.get("accelerator", "auto") in ("auto", "gpu", "cuda")
        gpus = visible_gpus() if uses_gpus and self.plain["launcher"]["kind"] in ("local", "elastic") else []
        per_trial = self.settings.devices_per_trial or hardware.get("devices") or 1
        per_trial = len(gpus) or 1 if per_trial == "all" else per_trial
        if per_trial < 1 and not gpus:
            text = f"sweep.devices_per_trial={per_trial:g}: this machine has no GPU that trials could share."
            raise ConfigError(Problem("sweep.devices_per_trial", text, "unavailable"))
        return make_slots(self.settings.num_workers, per_trial, gpus)

    def _num_threads(self) -> int:
        processes = self.plain["hardware"].get("devices") or 1
        return max(
            1, cores() // (self.settings.num_workers * (processes if isinstance(processes, int) else 1))
        )

    def _make_folder(self) -> None:
        try:
            for folder in (self.sweep.trials, self.sweep.plots, self.sweep.logs):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"the sweep cannot be saved in {self.sweep.path}: {error.strerror}.") from error

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        lock = FileLock(self.sweep.lock_path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            pid = read_json(self.sweep.status_path, {}).get("pid")
            raise UserError(
                f"process {pid} is running {self.sweep.path}. Join it with `runner sweep --join "
                f"{self.sweep.name}`, wait until it ends, or start another sweep with sweep.name=NAME."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _points(self, queue: TrialQueue) -> tuple[list[tuple[dict[str, Any], str]], list[str]]:
        """Return the initial points (the default, the user's, or all of a grid) and messages about them."""
        notes, points = [], []
        if self.settings.try_default:
            point, moved = self.request.default_point()
            points.append((point, "default"))
            if moved:
                notes.append(
                    f"trial 0 is the default configuration, but with {', '.join(moved)}, because the space "
                    "does not contain the default value"
                )
        for given in self.settings.points:
            unknown = [key for key in given if key not in self.request.space.as_dict()]
            if unknown:
                text = f"sweep.points: {', '.join(unknown)} is not in the space."
                raise ConfigError(Problem("sweep.points", text, "unknown_key"))
            points.append((self.request.point_at(given)[0], "given"))
        if self.settings.sampler == "grid":
            grid = self.request.space.grid()
            queue.total = min(queue.total, len(grid))
            if queue.total < len(grid):
                notes.append(
                    f"the grid has {len(grid)} points; sweep.num_trials={queue.total} of them are tried"
                )
            points += [(point, "grid") for point in grid]
        return points[: queue.total], notes

    def _write_status(self, state: str, queue: TrialQueue) -> None:
        if self.joins:
            return
        pid = os.getpid()
        status = {
            "format_version": FORMAT_VERSION,
            "state": state,
            "pid": pid,
            "pid_started_at": process_started_at(pid),
            "total": queue.total,
            "trials": dict(queue.counts()),
            "best": next((trial.number for trial in queue.best()), None),
            "front": [trial.number for trial in queue.front()],
        }
        write_json(self.sweep.status_path, status)
