"""The status of a run, which is correct even if its process was killed or its disk is full."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from runner.errors import CheckpointError, DamagedFileError, RunInUseError, UserError
from runner.run.directory import RunDir
from runner.run.files import cannot_write, read_json, write_json
from runner.run.format import FORMAT_VERSION, format_of

__all__ = [
    "LOST_AFTER_S",
    "State",
    "Status",
    "has_trained",
    "is_untouched",
    "keep_status_fresh",
    "process_started_at",
    "read_status",
    "reject_running",
    "release_space",
    "reserve_space",
    "write_status",
]

RESERVED_BYTES = 64 * 1024
RESERVED_FILE = ".room"


def reserve_space(run: RunDir) -> None:
    """Reserve disk space for the final status, which also verifies that the directory is writable.

    Raises:
        CheckpointError: the directory is not writable.
    """
    path = run.path / RESERVED_FILE
    try:
        run.logs.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(RESERVED_BYTES))
    except OSError as error:
        release_space(run)
        raise CheckpointError(cannot_write(path, error)) from error


def release_space(run: RunDir) -> None:
    """Release the reserved space, so that the final status fits on a full disk."""
    with suppress(OSError):
        (run.path / RESERVED_FILE).unlink(missing_ok=True)


TOUCH_INTERVAL_S = 30
PROGRESS_INTERVAL_S = 5


@contextmanager
def keep_status_fresh(
    run: RunDir,
    interval_s: float = TOUCH_INTERVAL_S,
    progress: Callable[[], dict[str, int]] | None = None,
    progress_interval_s: float = PROGRESS_INTERVAL_S,
) -> Iterator[None]:
    """Touch the run's status file regularly while the context is active, and update its progress.

    On another machine, `read_status` reports a run as lost if its status has not been touched for
    `LOST_AFTER_S`, so that ``resume=auto`` continues it there.

    Args:
        run: the run.
        interval_s: time between two touches in seconds.
        progress: returns ``step`` and ``epoch``; they are written when they have changed.
        progress_interval_s: time between two calls of ``progress`` in seconds.
    """
    ended = threading.Event()
    wait_s = interval_s if progress is None else min(interval_s, progress_interval_s)

    def refresh() -> None:
        written, touched = None, time.monotonic()
        while not ended.wait(wait_s):
            reached = progress() if progress is not None else None
            with suppress(OSError, UserError):  # an unavailable file system must not end the run
                if reached is not None and reached != written and any(reached.values()):
                    write_status(run, **reached)
                    written, touched = reached, time.monotonic()
                elif time.monotonic() - touched >= interval_s - wait_s / 2:
                    os.utime(run.status_path)
                    touched = time.monotonic()

    thread = threading.Thread(target=refresh, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


LOST_AFTER_S = 300
"""Seconds without an update of the status after which a run on another machine is lost.

Clocks may differ by less than this.
"""

_attempt_started_at: dict[str, float] = {}
"""Start times of this process's attempts by the monotonic clock, since the wall clock may be set back."""

State = Literal["created", "running", "finished", "pruned", "failed", "interrupted", "lost", "damaged"]


@dataclass(frozen=True)
class Status:
    """State and progress of a run.

    The states ``lost`` and ``damaged`` are never written. A run is listed as damaged if one of its small
    files is. Readers report it if the process of a running run is gone; the step
    is then that of the newest checkpoint.

    Attributes:
        state: state of the newest attempt.
        attempt: number of attempts so far.
        pid: id of the executing process.
        pid_started_at: start of that process in clock ticks since boot.
        host: its machine.
        started_at: start of the attempt in seconds since the Unix epoch.
        ended_at: its end, likewise.
        reason: why the run ended before it was finished.
        step: number of optimizer updates done.
        epoch: number of epochs done.
        seconds: duration of the attempt by the monotonic clock.
        format_version: format of the run directory, see `runner.run.format`.
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
    format_version: int = FORMAT_VERSION


def process_started_at(pid: int) -> float | None:
    """Return the start of a process in clock ticks since boot; None if it does not run.

    The start distinguishes a process from a later one with the same id.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields_after_name = file.read().rpartition(")")[2].split()
        return None if fields_after_name[0] == "Z" else float(fields_after_name[19])
    except (OSError, IndexError, ValueError):
        return None


def is_alive(status: Status, touched_at: float) -> bool:
    """Return whether the run's process is alive.

    A process on another host cannot be checked directly. It counts as alive while it touches its status.

    Args:
        status: the stored status.
        touched_at: time at which the status was last written or touched, in Unix seconds.
    """
    if status.pid is None:
        return False
    if status.host != socket.gethostname():
        return time.time() - touched_at < LOST_AFTER_S
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
    """Read the current status of a run.

    Raises:
        DamagedFileError: the file is damaged.

    Use it to poll a run that another process executes; otherwise read `runner.run.state.RunState` once.
    """
    known = {field.name for field in fields(Status)}
    content = read_json(run.status_path)
    stored = {key: value for key, value in (content or {}).items() if key in known}
    status = Status(**stored | {"format_version": format_of(content)})
    if status.state not in get_args(State):
        raise DamagedFileError(
            f"{run.status_path} is damaged: the state {str(status.state)[:80]!r} is unknown. "
            "Restore it from a copy."
        )
    if status.state == "running" and not is_alive(status, touched_at(run)):
        default = "its process ended without recording a reason (killed?)"
        if status.host != socket.gethostname():
            default = f"{status.host} has not updated its status for {LOST_AFTER_S // 60} minutes"
        reason = status.reason or default
        return replace(status, state="lost", reason=reason, step=max(status.step, saved_step(run)))
    return status


def touched_at(run: RunDir) -> float:
    """Return the modification time of the status in Unix seconds; 0 without a status."""
    try:
        return run.status_path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def is_untouched(run: RunDir) -> bool:
    """Return whether the run was never executed, so that its directory holds only its initial files."""
    status = read_status(run)
    return status.state == "created" and status.attempt == 0


def has_trained(run: RunDir) -> bool:
    """Return whether the run or one of its folds has a metric or a checkpoint."""
    files = [*run.path.rglob(run.metrics_path.name), *run.path.rglob(f"{run.checkpoints.name}/*")]
    return any(path.stat().st_size for path in files if path.name != "index.json")  # may list nothing yet


def reject_running(run: RunDir, elsewhere: bool = True) -> None:
    """Reject a run that another process is executing.

    Args:
        run: the run to check.
        elsewhere: whether to reject also runs on other machines, whose processes cannot be checked directly.

    Raises:
        RunInUseError: another process is executing the run.
    """
    status = read_status(run)
    here = status.host == socket.gethostname()
    if status.state == "running" and (status.pid != os.getpid() if here else elsewhere):
        note = (
            "" if here else f" (A run without an update for {LOST_AFTER_S // 60} minutes is considered lost.)"
        )
        raise RunInUseError(
            f"{run.name} is running (process {status.pid} on {status.host}). Stop it first, or wait until it "
            f"ends.{note}"
        )


def saved_step(run: RunDir) -> int:
    """Return the step of the newest listed checkpoint; 0 if there is none or the index is unreadable."""
    try:
        listed = read_json(run.checkpoints / "index.json", [])
        return int(listed[-1]["step"]) if listed else 0
    except (OSError, ValueError, TypeError, KeyError, LookupError):
        return 0


def elapsed_s(run: RunDir, status: Status) -> float | None:
    """Return the duration of the current attempt in seconds; None before its start.

    Only the process that started the attempt can use the monotonic clock; others rely on the timestamps.
    """
    started_at = _attempt_started_at.get(str(run.path))
    if started_at is not None and status.pid == os.getpid():
        return round(time.monotonic() - started_at, 3)
    return None if status.started_at is None else round(max(time.time() - status.started_at, 0.0), 3)


def write_status(run: RunDir, **changes: Any) -> Status:
    """Update fields of the status. A change of the state to ``running`` starts an attempt of this process.

    Args:
        run: the run whose status is updated.
        **changes: fields of `Status` and their new values.

    Returns:
        The new status.
    """
    with _write_lock:
        return _write_status(run, changes)


_write_lock = threading.Lock()
"""Protects reading and writing the status against the thread of `keep_status_fresh`."""


def _write_status(run: RunDir, changes: dict[str, Any]) -> Status:
    status = read_status(run)
    if changes.get("state") == "running" and "attempt" not in changes:
        pid = os.getpid()
        _attempt_started_at[str(run.path)] = time.monotonic()
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
