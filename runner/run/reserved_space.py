"""Reserves space in a run directory, so that the status can still be written when the disk is full."""

from __future__ import annotations

from contextlib import suppress

from runner.errors import CheckpointError
from runner.run.directory import RunDir
from runner.run.files import cannot_write

__all__ = ["give_room", "hold_room"]

HELD_BYTES = 64 * 1024
NAME = ".room"


def hold_room(run: RunDir) -> None:
    """Reserves the space, which also verifies that the directory is writable.

    Raises:
        CheckpointError: the directory is not writable.
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
