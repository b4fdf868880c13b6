"""The status of a run, correct even if its process was killed or its disk is full."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from runner.errors import CheckpointError, UserError
from runner.run.directory import RunDir
from runner.run.files import cannot_write, read_json, write_json

__all__ = [
    "SILENT_S",
    "State",
    "Status",
    "give_room",
    "hold_room",
    "is_untouched",
    "process_started_at",
    "read_status",
    "reject_running",
    "signs_of_life",
    "write_status",
]

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


EVERY_S = 30


@contextmanager
def signs_of_life(run: RunDir, every_s: float = EVERY_S) -> Iterator[None]:
    """Touches the run's status file while the context is active. On another machine, ``read_status`` reports
    a run as lost if its status has not been touched for minutes, so that ``resume=auto`` continues it
    there.
    """
    over = threading.Event()

    def touch() -> None:
        while not over.wait(every_s):
            try:
                os.utime(run.status_path)
            except OSError:
                pass  # a temporarily unavailable file system must not end the run

    thread = threading.Thread(target=touch, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


SILENT_S = 300
"""Seconds without a sign of life after which a run on another machine is lost.

Clocks may differ by less than this.
"""

_begun_at: dict[str, float] = {}
"""Start times of this process's attempts by the monotonic clock, since the wall clock may be set back."""

State = Literal["created", "running", "finished", "pruned", "failed", "interrupted", "lost"]


@dataclass(frozen=True)
class Status:
    """State and progress of a run. ``lost`` is never written: readers report it if the process of a running
    run is gone; the step is then that of the newest checkpoint.
    """

    state: State = "created"
    attempt: int = 0
    pid: int | None = None
    pid_started_at: float | None = None
    host: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None
    step: int = 0
    epoch: int = 0
    seconds: float | None = None


def process_started_at(pid: int) -> float | None:
    """Start of a process in clock ticks since boot, which distinguishes it from a later process with the same
    id.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields_after_name = file.read().rpartition(")")[2].split()
        return None if fields_after_name[0] == "Z" else float(fields_after_name[19])
    except (OSError, IndexError, ValueError):
        return None


def is_alive(status: Status, heard_at: float) -> bool:
    """Whether the run's process is alive. A process on another host cannot be checked directly; it counts as
    alive while it gives signs of life (``runner.run.status``).

    Args:
        heard_at: time at which its status was last written or touched, in Unix seconds.
    """
    if status.pid is None:
        return False
    if status.host != socket.gethostname():
        return time.time() - heard_at < SILENT_S
    if status.pid_started_at is not None:
        return process_started_at(status.pid) == status.pid_started_at
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def read_status(run: RunDir) -> Status:
    known = {field.name for field in fields(Status)}
    stored = {key: value for key, value in read_json(run.status_path, {}).items() if key in known}
    status = Status(**stored)
    if status.state == "running" and not is_alive(status, heard_at(run)):
        unseen = "its process ended without a word (killed?)"
        if status.host != socket.gethostname():
            unseen = f"nothing was heard of {status.host} for {SILENT_S // 60} minutes"
        reason = status.reason or unseen
        return replace(status, state="lost", reason=reason, step=max(status.step, saved_step(run)))
    return status


def heard_at(run: RunDir) -> float:
    try:
        return run.status_path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def is_untouched(run: RunDir) -> bool:
    """Whether the run was never executed: its directory contains only the files it was created with."""
    status = read_status(run)
    return status.state == "created" and status.attempt == 0


def has_trained(run: RunDir) -> bool:
    """Whether it or one of its folds has a metric or a checkpoint."""
    files = [*run.path.rglob(run.metrics_path.name), *run.path.rglob(f"{run.checkpoints.name}/*")]
    return any(path.stat().st_size for path in files)


def reject_running(run: RunDir, elsewhere: bool = True) -> None:
    """
    Args:
        elsewhere: whether to reject also runs on other machines, whose processes cannot be checked directly.

    Raises:
        UserError: another process is executing the run.
    """
    status = read_status(run)
    here = status.host == socket.gethostname()
    if status.state == "running" and (status.pid != os.getpid() if here else elsewhere):
        silent = "" if here else f" (A machine that is silent for {SILENT_S // 60} minutes counts as gone.)"
        raise UserError(
            f"{run.name} is running (process {status.pid} on {status.host}). Stop it first, or let it "
            f"end.{silent}"
        )


def saved_step(run: RunDir) -> int:
    """Step of the newest listed checkpoint."""
    try:
        listed = read_json(run.checkpoints / "index.json", [])
        return int(listed[-1]["step"]) if listed else 0
    except (OSError, ValueError, TypeError, KeyError, LookupError):
        return 0


def elapsed_s(run: RunDir, status: Status) -> float | None:
    """Duration of the current attempt; processes other than the one that started it rely on the
    timestamps.
    """
    begun_at = _begun_at.get(str(run.path))
    if begun_at is not None and status.pid == os.getpid():
        return round(time.monotonic() - begun_at, 3)
    return None if status.started_at is None else round(max(time.time() - status.started_at, 0.0), 3)


def write_status(run: RunDir, **changes) -> Status:
    """Updates the status with ``changes``; a change to ``running`` starts an attempt of this process."""
    status = read_status(run)
    if changes.get("state") == "running" and "attempt" not in changes:
        pid = os.getpid()
        _begun_at[str(run.path)] = time.monotonic()
        changes = {
            "attempt": status.attempt + 1,
            "pid": pid,
            "pid_started_at": process_started_at(pid),
            "host": socket.gethostname(),
            "started_at": time.time(),
            "ended_at": None,
            "seconds": None,
            "reason": None,
        } | changes
    if changes.get("state") in ("finished", "pruned", "failed", "interrupted"):
        changes = {"ended_at": time.time(), "seconds": elapsed_s(run, status), "reason": None} | changes
    status = replace(status, **changes)
    write_json(run.status_path, asdict(status))
    return status
