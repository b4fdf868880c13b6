"""The checkpoints of a running training: written in a background thread, listed once they are on disk."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.errors import CheckpointError
from runner.run.checkpoints import PATTERN, Checkpoint, file_digest, read_index, sort_by_metric, write_index
from runner.run.files import cannot_write, remove, replace_file

__all__ = ["Background", "CheckpointStore", "check_folder", "free_path", "timeline"]


class Background:
    """A daemon thread per job: a process that has to leave at once does not wait for it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._outcome: Any = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether there is a job whose outcome was not taken yet."""
        return self._thread is not None

    @property
    def done(self) -> bool:
        """Whether there is one, and it has ended."""
        return self._thread is not None and not self._thread.is_alive()

    def start(self, job: Callable[[], Any]) -> None:
        """Begins a job; the one before must have been taken."""
        if self.busy:
            raise RuntimeError("the job before is not done with")

        def work() -> None:
            try:
                self._outcome = job()
            except BaseException as error:  # raised in the thread that takes the outcome
                self._error = error

        self._outcome = self._error = None
        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    def take(self) -> Any:
        """Waits for the job and returns its outcome, or raises what ended it."""
        self._thread.join()
        self._thread = None
        outcome, error = self._outcome, self._error
        self._outcome = self._error = None
        if error is not None:
            raise error
        return outcome


PROBE_BYTES = 4096


def check_folder(folder: str | Path, need_bytes: int = 0) -> None:
    """Makes the folder, clears what a killed process left half written, and tries a file in it.

    Args:
        need_bytes: that must be free.

    Raises:
        CheckpointError: it cannot be written, or has no room.
    """
    folder = Path(folder)
    probe = folder / ".probe.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for litter in folder.glob(".*.tmp"):
            remove(litter)
        with open(probe, "wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        replace_file(probe, probe.with_suffix(".done"))
        probe.with_suffix(".done").unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise CheckpointError(cannot_write(folder, error)) from error
    if free < need_bytes:
        raise CheckpointError(
            f"{folder} has {free / 2**20:.0f} MiB free; the checkpoints of this run need about "
            f"{need_bytes / 2**20:.0f} MiB. Make room, choose another place with run.root=FOLDER, "
            "or keep fewer with checkpoint.keep_last=1 checkpoint.keep_best=0."
        )


def free_path(folder: Path, step: int) -> Path:
    """``step-00000123.ckpt``, or ``step-00000123-2.ckpt`` when that state of the same step is still there."""
    path = folder / f"step-{step:08d}.ckpt"
    attempt = 1
    while path.exists():
        attempt += 1
        path = folder / f"step-{step:08d}-{attempt}.ckpt"
    return path


def timeline(folder: Path, resumed: str | Path | None) -> list[Checkpoint]:
    """The checkpoints up to the one resumed from. Later ones are forgotten: the run comes by there again.

    Raises:
        CheckpointError: there are checkpoints, and none of them is resumed from.
    """
    entries = read_index(folder)
    if not entries:
        return []
    names = [entry.file for entry in entries]
    resumed = Path(resumed).resolve() if resumed else None
    if resumed is None or resumed.parent != folder.resolve() or resumed.name not in names:
        raise CheckpointError(
            f"{folder} holds {len(entries)} checkpoints ({', '.join(names)}), and the run is to start from "
            f"{resumed or 'the beginning'}. Resume from one of them, or move the folder away."
        )
    return entries[: names.index(resumed.name) + 1]


log = logging.getLogger("runner.checkpoints")


class CheckpointStore:
    """
    Args:
        folder: of the files and their list.
        entries: those listed already, oldest first.
        keep_best, keep_last: how many of each kind stay.
        writes: false on every rank but the first: it only keeps count, for all ranks must come to the same
            decisions.

    Attributes:
        entries: what is kept, one still being written among them.
    """

    def __init__(
        self, folder: Path, entries: list[Checkpoint], keep_best: int, keep_last: int, writes: bool = True
    ) -> None:
        self.folder = folder
        self.keep_best = keep_best
        self.keep_last = keep_last
        self.writes = writes
        self._background = Background()
        self.entries = self._kept(entries)
        if writes:
            self._list(self.entries)

    def add(self, entry: Checkpoint, write: Callable[[], str | None] | None, asynchronous: bool) -> None:
        """Takes a checkpoint in.

        Args:
            entry: without its SHA-256.
            write: writes the file and returns its SHA-256; None when the file is there.
            asynchronous: write it while training continues. Errors are raised by ``check`` or ``finish``.

        Raises:
            CheckpointError: it cannot be written; what was there before stays.
        """
        self.finish()
        self.entries = self._kept([*self.entries, entry])
        if not self.writes:
            return
        entries = self.entries
        if asynchronous:
            self._background.start(lambda: self._write(entry, write, entries))
        else:
            self.entries = self._write(entry, write, entries)

    def _write(
        self, entry: Checkpoint, write: Callable[[], str | None] | None, entries: list[Checkpoint]
    ) -> list[Checkpoint]:
        written = write() if write is not None else None
        found = file_digest(entry.path)
        if written is not None and found != written:
            raise CheckpointError(
                f"{entry.path} does not read back as it was written (SHA-256 {found}, not {written}): is "
                "the disk "
                "sound? What was saved before is kept."
            )
        entries = [replace(entry, sha256=found) if one.file == entry.file else one for one in entries]
        self._list(entries)
        return entries

    def check(self) -> None:
        """Raises what went wrong in the background, if anything did; does not wait."""
        if self._background.done:
            self.finish()

    def finish(self) -> None:
        """Waits until all is on the disk.

        Raises:
            CheckpointError: it is not.
        """
        if self._background.busy:
            before = [one for one in self.entries if one.sha256]
            try:
                self.entries = self._background.take()
            except BaseException:
                self.entries = before
                raise

    def finish_quietly(self) -> None:
        """The same while an error ends the training: another one must not take its place."""
        try:
            self.finish()
        except Exception as error:
            log.error("%s", error)

    def _kept(self, entries: list[Checkpoint]) -> list[Checkpoint]:
        kept = {*sort_by_metric(entries)[: self.keep_best], *entries[-self.keep_last :]}
        return [entry for entry in entries if entry in kept]

    def _list(self, entries: list[Checkpoint]) -> None:
        """Lists what is kept, then removes every other file: in this order, for the process may end
        between.
        """
        write_index(self.folder, entries)
        listed = {entry.file for entry in entries}
        for path in self.folder.glob(PATTERN):
            if path.name not in listed:
                remove(path)
