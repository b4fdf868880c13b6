"""Writes checkpoints in a background thread and lists them in the index once they are on disk."""

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
    """Runs one job at a time in a daemon thread, so that a process that must exit does not wait for it."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._result: Any = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """Whether a job was started whose result has not been collected."""
        return self._thread is not None

    @property
    def done(self) -> bool:
        """Whether a job has ended whose result has not been collected."""
        return self._thread is not None and not self._thread.is_alive()

    def start(self, job: Callable[[], Any]) -> None:
        """Start a job; the result of the previous one must have been collected."""
        if self.busy:
            raise RuntimeError("the result of the previous job has not been collected")

        def work() -> None:
            try:
                self._result = job()
            except BaseException as error:  # raised by wait(), in the thread that collects the result
                self._error = error

        self._result = self._error = None
        self._thread = threading.Thread(target=work, name="checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> Any:
        """Wait for the job and return its result, or raise its exception."""
        if self._thread is None:
            raise RuntimeError("no job was started")
        self._thread.join()
        self._thread = None
        result, error = self._result, self._error
        self._result = self._error = None
        if error is not None:
            raise error
        return result


PROBE_BYTES = 4096


def check_folder(folder: str | Path, need_bytes: int = 0) -> None:
    """Create the folder, delete temporary files of killed processes, and write a test file.

    Args:
        folder: folder of the checkpoints.
        need_bytes: required free space in bytes.

    Raises:
        CheckpointError: the folder is not writable or lacks space.
    """
    folder = Path(folder)
    probe = folder / ".probe.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".*.tmp"):
            remove(leftover)
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
            f"{need_bytes / 2**20:.0f} MiB. Free some space, choose another folder with run.root=FOLDER, "
            "or keep fewer checkpoints with checkpoint.keep_last=1 checkpoint.keep_best=0."
        )


def free_path(folder: Path, step: int) -> Path:
    """Return ``step-00000123.ckpt``, or ``step-00000123-2.ckpt`` if that file exists."""
    path = folder / f"step-{step:08d}.ckpt"
    attempt = 1
    while path.exists():
        attempt += 1
        path = folder / f"step-{step:08d}-{attempt}.ckpt"
    return path


def timeline(folder: Path, resumed: str | Path | None) -> list[Checkpoint]:
    """Return the checkpoints up to the one resumed from.

    Later ones are dropped: the resumed run will reach and save those steps again.

    Args:
        folder: folder of the checkpoints.
        resumed: path of the checkpoint resumed from; None for a new training.

    Raises:
        CheckpointError: the folder holds checkpoints, but none of them is resumed from.
    """
    entries = read_index(folder)
    if not entries:
        return []
    names = [entry.file for entry in entries]
    start = Path(resumed).resolve() if resumed else None
    if start is None or start.parent != folder.resolve() or start.name not in names:
        raise CheckpointError(
            f"{folder} holds {len(entries)} checkpoints ({', '.join(names)}), but the run starts from "
            f"{start or 'the beginning'}. Resume from one of them, or move the folder away."
        )
    return entries[: names.index(start.name) + 1]


log = logging.getLogger("runner.checkpoints")


class CheckpointStore:
    """The checkpoints of a running training: files, index, and which of them are kept.

    Args:
        folder: folder of the files and their index.
        entries: checkpoints already listed, oldest first.
        keep_best, keep_last: number of best and of newest checkpoints to keep.
        writes: False on all ranks but rank 0, which only track the entries so that all ranks make the same
            decisions.

    Attributes:
        entries: the checkpoints that are kept, including one that is still being written.
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
            self._write_index(self.entries)

    def add(self, entry: Checkpoint, write: Callable[[], str | None] | None, asynchronous: bool) -> None:
        """Add a checkpoint.

        Args:
            entry: the checkpoint, still without its SHA-256.
            write: writes the file and returns its SHA-256; None if the file already exists.
            asynchronous: write in the background; errors are raised by ``check`` or ``finish``.

        Raises:
            CheckpointError: the file cannot be written; existing files are kept.
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
        expected = write() if write is not None else None
        digest = file_digest(entry.path)
        if expected is not None and digest != expected:
            raise CheckpointError(
                f"{entry.path} differs from what was written (SHA-256 {digest}, expected {expected}). The "
                "disk may be defective. Earlier checkpoints are kept."
            )
        entries = [replace(entry, sha256=digest) if other.file == entry.file else other for other in entries]
        self._write_index(entries)
        return entries

    def check(self) -> None:
        """Raise an error of the background thread, if there was one, without waiting."""
        if self._background.done:
            self.finish()

    def finish(self) -> None:
        """Wait until all checkpoints are on disk.

        Raises:
            CheckpointError: one could not be written.
        """
        if self._background.busy:
            on_disk = [entry for entry in self.entries if entry.sha256]
            try:
                self.entries = self._background.wait()
            except BaseException:
                self.entries = on_disk
                raise

    def finish_quietly(self) -> None:
        """Wait like ``finish``, but log errors so that they do not hide the one that ends the training."""
        try:
            self.finish()
        except Exception as error:
            log.error("%s", error)

    def _kept(self, entries: list[Checkpoint]) -> list[Checkpoint]:
        kept = {*sort_by_metric(entries)[: self.keep_best], *entries[-self.keep_last :]}
        return [entry for entry in entries if entry in kept]

    def _write_index(self, entries: list[Checkpoint]) -> None:
        """Write the index, then delete all other checkpoints.

        The order matters: if the process dies in between, the index only lists existing files.
        """
        write_index(self.folder, entries)
        listed = {entry.file for entry in entries}
        for path in self.folder.glob(PATTERN):
            if path.name not in listed:
                remove(path)
