"""Where a study is kept, so that several processes can be at it: a journal, SQLite, or a PostgreSQL
server.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from runner.errors import UserError
from runner.sweep.directory import SweepDir

__all__ = ["Turn", "open_storage", "shown_url", "turn_of", "without_password"]

Turn = Callable[[], AbstractContextManager[None]]
"""Around what only one process may do at a time, all machines counted; given up when its holder dies."""

KINDS = "sqlite:///FILE or postgresql://USER@HOST/DATABASE; null keeps it in the sweep's folder"
BUSY_S = 60


class ProcessLock:
    """A lock that goes with its process. Optuna's own stays behind a killed one, and costs the next 30 s."""

    def __init__(self, path: str) -> None:
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


class Journal(JournalFileBackend):
    """Optuna's, but a process that was killed in the middle of a line does not spoil what others append."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = ProcessLock(str(path))
        super().__init__(str(path), lock_obj=self._mine)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._mine.acquire()
        try:
            drop_torn_line(self._path)
            super().append_logs(logs)
        finally:
            self._mine.release()


def drop_torn_line(path: Path) -> None:
    with open(path, "rb+") as file:
        if not file.seek(0, os.SEEK_END):
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(sweep: SweepDir, url: str | None) -> BaseStorage:
    """The storage, made when there is none. Only to be called in one's turn, for two cannot make it at once.

    Raises:
        UserError: it cannot be reached, or is none that is known here.
    """
    if url is None:
        return JournalStorage(Journal(sweep.study_path))
    url = full_url(url)
    options = {"connect_args": {"timeout": BUSY_S}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    with told_apart(url):
        return RDBStorage(url, engine_kwargs=options)


def turn_of(sweep: SweepDir, url: str | None) -> Turn:
    """The turn that belongs to a storage."""
    if url is None:
        return lambda: FileLock(sweep.path / ".turn.lock")
    full = full_url(url)
    file = sqlite_file(full)
    return (lambda: FileLock(f"{file}.turn.lock")) if file else (lambda: postgresql_turn(full, sweep.name))


@contextmanager
def postgresql_turn(url: str, name: str) -> Iterator[None]:
    """An advisory lock of the server, which lets go of it when the connection ends."""
    from sqlalchemy import NullPool, create_engine, text

    key = int.from_bytes(hashlib.sha256(f"runner sweep {name}".encode()).digest()[:8], "big", signed=True)
    with told_apart(url):
        connection = create_engine(url, poolclass=NullPool).connect()
    with connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        yield


@contextmanager
def told_apart(url: str) -> Iterator[None]:
    """What a database says when it cannot be used, in one sentence."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"sweep.storage={shown_url(url)} needs a driver: pip install 'runner[postgresql]' ({error})."
        ) from error
    except Exception as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UserError(f"the study cannot be kept in {shown_url(url)}: {reason}.") from error


def full_url(url: str) -> str:
    """With the driver that is installed here, and the path of a file in full.

    Raises:
        UserError: it is no URL of a storage that is known here.
    """
    kind, separator, rest = url.partition("://")
    if kind == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return f"sqlite:///{Path(rest[1:]).absolute()}"
    if kind in ("postgresql", "postgres", "postgresql+psycopg") and separator and rest:
        return f"postgresql+psycopg://{rest}"
    raise UserError(f"sweep.storage={shown_url(url)}: expected {KINDS}.")


def sqlite_file(url: str) -> str | None:
    return url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else None


def without_password(url: str | None) -> str | None:
    """As it may stand in files: ``PGPASSWORD`` or ``~/.pgpass`` gives the password to those who may know
    it.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        made = None if url is None else make_url(url)
    except ArgumentError:
        return url
    return url if made is None or made.password is None else made._replace(password=None).render_as_string()


def shown_url(url: str) -> str:
    return str(without_password(url))
