"""The checkpoints of a running training: added one by one, listed when they are on the disk, let go of when the next
one is proven."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runner.callbacks.background import Background
from runner.errors import CheckpointError
from runner.run.checkpoints import PATTERN, Checkpoint, file_digest, sort_by_metric, write_index
from runner.run.files import remove

__all__ = ["CheckpointStore"]

log = logging.getLogger("runner.checkpoints")


class CheckpointStore:
    """
    Args:
        folder: of the files and their list.
        entries: those listed already, oldest first.
        keep_best, keep_last: how many of each kind stay.
        writes: false on every rank but the first: it only keeps count, for all ranks must come to the same decisions.

    Attributes:
        entries: what is kept, one still being written among them.
    """

    def __init__(
        self, folder: Path, entries: list[Checkpoint], keep_best: int, keep_last: int, writes: bool = True
    ):
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
                f"{entry.path} does not read back as it was written (SHA-256 {found}, not {written}): is the disk "
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
        """Lists what is kept, then removes every other file: in this order, for the process may end between."""
        write_index(self.folder, entries)
        listed = {entry.file for entry in entries}
        for path in self.folder.glob(PATTERN):
            if path.name not in listed:
                remove(path)
