"""The lock of a run, held by one process for the whole attempt.

The lock is a POSIX record lock: the kernel releases it when its holder dies, processes forked by the holder
(workers of a data loader) do not inherit it, and NFS supports it. A process loses such a lock when it closes
any descriptor of the file, so that nothing else may open `LOCK`.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from runner.errors import RunInUseError, UserError
from runner.run.directory import RunDir
from runner.run.files import cannot_write

__all__ = ["HELD_BY_PARENT", "acquire_lock", "locked", "release_lock"]

LOCK = ".lock"
HELD_BY_PARENT = "RUNNER_LOCKED_RUN"
"""Environment variable with the run whose lock the process that started the ranks holds."""

UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)

log = logging.getLogger("runner.run.lock")
_held: dict[tuple[int, str], int] = {}
"""Descriptors of the held locks by process and run; a forked process does not hold those of its parent."""


def acquire_lock(run: RunDir) -> bool:
    """Acquire the lock of a run without waiting.

    On a file system without locks, a warning is logged and the run counts as locked.

    Returns:
        Whether it was acquired now; False if this process, or the one that started this rank, holds it.

    Raises:
        RunInUseError: another process holds the lock.
        UserError: the directory is not writable.
    """
    key = key_of(run)
    if key in _held or os.environ.get(HELD_BY_PARENT) == key[1]:
        return False
    path = run.path / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UserError(cannot_write(path, error)) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            os.close(descriptor)
            raise RunInUseError(
                f"{run.name} is running: another process holds its lock. Stop it first, or wait until it "
                "ends."
            ) from error
        log.warning("%s: this file system has no locks; do not resume %s twice.", path, run.name)
    _held[key] = descriptor
    return True


def release_lock(run: RunDir) -> None:
    """Release the lock of a run if this process holds it."""
    descriptor = _held.pop(key_of(run), None)
    if descriptor is not None:
        os.close(descriptor)


@contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """Hold the lock of a run within the context.

    A lock that was held before is kept at the end.

    Raises:
        RunInUseError: another process holds the lock.
        UserError: the directory is not writable.
    """
    is_new = acquire_lock(run)
    try:
        yield
    finally:
        if is_new:
            release_lock(run)


def key_of(run: RunDir) -> tuple[int, str]:
    return os.getpid(), os.path.realpath(run.path)
