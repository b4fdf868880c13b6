"""A sweep from beginning to end: its folder, its study, its workers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from runner.config.plain import to_plain
from runner.config.target import resolve_target
from runner.errors import ConfigError, RunFailed, UserError
from runner.run.directory import RunDir
from runner.run.files import read_json, write_json, write_text
from runner.run.provenance import collect_provenance
from runner.run.status import process_started_at
from runner.sweep.book import Book
from runner.sweep.directory import SweepDir
from runner.sweep.mirror import start_mirror
from runner.sweep.plan import keep_plan
from runner.sweep.pool import Pool, cores
from runner.sweep.request import Request
from runner.sweep.study import open_study
from runner.sweep.supervise import Supervisor, View
from runner.tracking.settings import TrackingSettings

__all__ = ["Sweeping", "sweep_dir_of"]


def sweep_dir_of(request: Request) -> SweepDir:
    """The same for the same command, so that it goes on where it was."""
    config, choices = request.base.config, request.base.choices
    name = request.settings.name or f"sweep_{choices.get('model', 'model')}_{choices.get('data', 'data')}"
    return SweepDir(RunDir(config.run.root).path.absolute() / name)


def targets_of(config: Any) -> list[str]:
    """Dotted names of all constructors in plain containers."""
    if isinstance(config, dict):
        own = [config["_target_"]] if "_target_" in config else []
        return own + [name for value in config.values() for name in targets_of(value)]
    return [name for value in config for name in targets_of(value)] if isinstance(config, list) else []


class Sweeping:
    """One go at a sweep.

    Args:
        make_view: from the book to what shows how it goes.
    """

    def __init__(self, request: Request, command: list[str], make_view: Callable[[SweepDir, Book], View]):
        self.request = request
        self.settings = request.settings
        self.command = command
        self.make_view = make_view
        self.sweep = sweep_dir_of(request)
        plain = self.plain = to_plain(request.base.config, [])
        task = resolve_target(plain["task"]["_target_"])
        self.metric = self.settings.objective or task.monitor
        self.mode = self.settings.mode or task.mode
        self.targets = targets_of(plain)
        self.max_epochs = plain["trainer"].get("max_epochs")

    def run(self) -> Book:
        """Returns when all trials have ended.

        Raises:
            ConfigError: the folder holds another search.
            UserError: another process is at it.
            RunFailed: no trial came to its end.
            Interrupted: it was asked to stop.
        """
        self._make_folder()
        with self._alone():
            said = keep_plan(self.sweep, self.request, self.metric, self.mode)
            return self._search(said)

    def _search(self, said: list[str]) -> Book:
        with Pool(self.targets, self.sweep.logs / "server.log") as pool:
            study = open_study(self.sweep, self.settings, self.mode, self.max_epochs)
            book = Book(study, self.request.space, self.settings)
            view = self.make_view(self.sweep, book)
            for text in [*said, *self._enqueue(book)]:
                view.note(text)
            self._write_status("running", book)
            mirror = start_mirror(self.sweep, TrackingSettings.from_config(self.plain))
            state = "interrupted"
            try:
                provenance, _ = collect_provenance(self.command, self.request.base.config.seed)
                threads = max(1, cores() // self.settings.num_workers)
                Supervisor(self.sweep, self.request, book, pool, view, provenance, threads).run()
                state = "finished" if book.best() else "failed"
            finally:
                write_best(self.sweep, book)
                self._write_status(state, book)
                if mirror is not None:
                    view.note(finish_mirror(mirror, self.plain["tracking"]["wait_s"]))
        if state == "failed":
            reasons = [trial.user_attrs.get("reason") for trial in book.trials()]
            raise RunFailed(f"none of {book.total} trials came to its end. The first: {reasons[0]}")
        return book

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
                f"process {pid} is at {self.sweep.path} just now. Wait for it, or begin another with sweep.name=NAME."
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _enqueue(self, book: Book) -> list[str]:
        """The points that come first: the default, the user's own, or all of a grid."""
        said, points = [], []
        if self.settings.try_default:
            point, moved = self.request.default_point()
            points.append((point, "default"))
            if moved:
                said.append(
                    f"trial 0 is the default configuration, but with {', '.join(moved)}, since the space has no such value"
                )
        for given in self.settings.points:
            unknown = [key for key in given if key not in self.request.space.as_dict()]
            if unknown:
                raise ConfigError(f"sweep.points: {', '.join(unknown)} is not in the space.")
            points.append((self.request.point_at(given)[0], "given"))
        if self.settings.sampler == "grid":
            grid = self.request.space.grid()
            book.total = min(book.total, len(grid))
            if book.total < len(grid):
                said.append(
                    f"the grid has {len(grid)} points; sweep.num_trials={book.total} of them are tried"
                )
            points += [(point, "grid") for point in grid]
        book.enqueue(points[: book.total])
        return said

    def _write_status(self, state: str, book: Book) -> None:
        pid = os.getpid()
        status = {
            "state": state,
            "pid": pid,
            "pid_started_at": process_started_at(pid),
            "total": book.total,
            "trials": dict(book.counts()),
            "best": next((trial.number for trial in book.best()), None),
        }
        write_json(self.sweep.status_path, status)


def finish_mirror(mirror: subprocess.Popen, wait_s: float) -> str:
    """Gives the mirror a while; it goes on by itself."""
    mirror.stdin.close()
    try:
        mirror.wait(wait_s)
    except subprocess.TimeoutExpired:
        return "not all in MLflow yet: it goes on in the background"
    return "all trials are in MLflow: `runner ui` shows them" if mirror.returncode == 0 else (
        "not all in MLflow; `runner sync --all` sends the rest"
    )  # fmt: skip


def write_best(sweep: SweepDir, book: Book) -> None:
    """``best.yaml``: the config of the best trial, which ``runner train`` takes."""
    for trial in book.best():
        config = sweep.trial(trial.number).config_path
        if config.is_file():
            head = (
                f"# trial {trial.number} of {sweep.name}: {trial.value:.6g} with {json.dumps(trial.params)}\n"
            )
            write_text(sweep.best_path, head + config.read_text(encoding="utf-8"))
