"""A sweep from beginning to end: its folder, its study, its workers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

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
from runner.sweep.plan import BEGUN, keep_plan
from runner.sweep.request import Request
from runner.sweep.sampler import make_pruner
from runner.sweep.storage import turn_of
from runner.sweep.study import open_study
from runner.sweep.supervise import Supervisor, View
from runner.sweep.sweep_summary import read_record
from runner.sweep.trial_queue import TrialQueue

__all__ = ["Sweeping", "sweep_dir_of"]

MakeView = Callable[[SweepDir, TrialQueue], View]


def sweep_dir_of(request: Request) -> SweepDir:
    """The same name for the same command, so that repeating the command continues the sweep."""
    config, choices = request.base.config, request.base.choices
    name = request.settings.name or f"sweep_{choices.get('model', 'model')}_{choices.get('data', 'data')}"
    return SweepDir(RunDir(config.run.root).path.absolute() / name)


class Sweeping:
    """One process's part in a sweep.

    Args:
        make_view: from the book to what shows how it goes.
        joins: it helps another process, which began the sweep and will end it.
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
        """Returns when all trials have ended; for one who joined, when nothing is left to begin.

        Raises:
            ConfigError: the study is of another search.
            UserError: another process is at it.
            RunFailedError: no trial came to its end.
            Interrupted: it was asked to stop.
        """
        slots = self._slots()
        self._make_folder()
        if self.joins:
            return self._search(slots)
        with self._alone():
            return self._search(slots)

    def _search(self, slots: list[Slot]) -> TrialQueue:
        url = self.settings.storage
        study = open_study(self.sweep, url, self.request.objectives)
        study.pruner = make_pruner(self.settings, self.plain["trainer"].get("max_epochs"))
        said = [] if self.joins else keep_plan(self.sweep, study, self.request)
        book = TrialQueue(study, self.request.space, self.settings, turn_of(self.sweep, url))
        points, notes = self._points(book)
        with closing(make_executor(self.sweep, self.plain, self.request.space.as_dict())) as executor:
            view = self.make_view(self.sweep, book)
            if not self.joins:
                book.enqueue(points)
                study.set_user_attr(BEGUN, True)
                for text in [*said, *notes]:
                    view.note(text)
            self._write_status("running", book)
            mirror = self._start_mirror()
            state = "interrupted"
            try:
                provenance, _ = collect_provenance(self.command, self.request.base.config.seed)
                Supervisor(
                    self.sweep,
                    self.request,
                    book,
                    executor,
                    view,
                    provenance,
                    slots,
                    num_threads=self._num_threads(),
                    stays=not self.joins,
                ).run()
                state = "finished" if book.best() else "failed"
            finally:
                self._write_status(state, book)
                write_best(read_record(self.sweep))
                if mirror is not None:
                    view.note(finish_mirror(self.sweep, mirror, self.plain["tracking"]["wait_s"]))
        if state == "failed" and not self.joins:
            reasons = [trial.user_attrs.get("reason") for trial in book.trials()]
            raise RunFailedError(f"none of {book.total} trials came to its end. The first: {reasons[0]}")
        return book

    def _start_mirror(self) -> subprocess.Popen | None:
        """Who joined a sweep whose folder is here leaves its trials to the mirror of the one that began
        it.
        """
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
            text = f"sweep.devices_per_trial={per_trial:g}: no GPU was found that trials could share."
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
            raise UserError(f"the sweep cannot be kept in {self.sweep.path}: {error.strerror}.") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = FileLock(self.sweep.lock_path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            pid = read_json(self.sweep.status_path, {}).get("pid")
            raise UserError(
                f"process {pid} is at {self.sweep.path} just now. Help it with `runner sweep --join "
                f"{self.sweep.name}`, "
                "wait for it, or begin another with sweep.name=NAME."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _points(self, book: TrialQueue) -> tuple[list[tuple[dict, str]], list[str]]:
        """The points that come first: the default, the user's own, or all of a grid; and what to say about
        them.
        """
        said, points = [], []
        if self.settings.try_default:
            point, moved = self.request.default_point()
            points.append((point, "default"))
            if moved:
                said.append(
                    f"trial 0 is the default configuration, but with {', '.join(moved)}, since the space "
                    "has no such value"
                )
        for given in self.settings.points:
            unknown = [key for key in given if key not in self.request.space.as_dict()]
            if unknown:
                text = f"sweep.points: {', '.join(unknown)} is not in the space."
                raise ConfigError(Problem("sweep.points", text, "unknown_key"))
            points.append((self.request.point_at(given)[0], "given"))
        if self.settings.sampler == "grid":
            grid = self.request.space.grid()
            book.total = min(book.total, len(grid))
            if book.total < len(grid):
                said.append(
                    f"the grid has {len(grid)} points; sweep.num_trials={book.total} of them are tried"
                )
            points += [(point, "grid") for point in grid]
        return points[: book.total], said

    def _write_status(self, state: str, book: TrialQueue) -> None:
        if self.joins:
            return
        pid = os.getpid()
        status = {
            "state": state,
            "pid": pid,
            "pid_started_at": process_started_at(pid),
            "total": book.total,
            "trials": dict(book.counts()),
            "best": next((trial.number for trial in book.best()), None),
            "front": [trial.number for trial in book.front()],
            "format_version": FORMAT_VERSION,
        }
        write_json(self.sweep.status_path, status)
