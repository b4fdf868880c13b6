"""A little room in a run directory that a full disk cannot take: for the words that say so."""

from __future__ import annotations

from contextlib import suppress

from runner.errors import CheckpointError
from runner.run.directory import RunDir
from runner.run.files import cannot_write

__all__ = ["give_room", "hold_room"]

HELD_BYTES = 64 * 1024
NAME = ".room"


def hold_room(run: RunDir) -> None:
    """Takes it, and so tries whether the directory can be written.

    Raises:
        CheckpointError: it cannot.
    """
    path = run.path / NAME
    try:
        run.logs.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(HELD_BYTES))
    except OSError as error:
        give_room(run)
        raise CheckpointError(cannot_write(path, error)) from error


def give_room(run: RunDir) -> None:
    with suppress(OSError):
        (run.path / NAME).unlink(missing_ok=True)
