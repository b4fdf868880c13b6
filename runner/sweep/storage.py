"""Storages of a study that several processes can share: a journal file, SQLite, or a PostgreSQL server."""

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

__all__ = ["Lock", "lock_of", "open_storage", "url_without_password", "without_password"]

Lock = Callable[[], AbstractContextManager[Any]]
"""Returns a context that one process on all machines holds at a time; released when its holder dies."""

KINDS = "sqlite:///FILE or postgresql://USER@HOST/DATABASE; null stores it in the sweep's folder"
BUSY_TIMEOUT_S = 60


class ProcessLock:
    """A file lock that the kernel releases when its process ends.

    The lock files of Optuna 5.0 remain after a kill, and the next process then waits 30 s.
    """

    def __init__(self, path: str) -> None:
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        """Wait for the lock; always true."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


class Journal(JournalFileBackend):
    """Optuna's journal file, protected against incomplete lines.

    In Optuna 5.0, a line that a killed process has written in part corrupts the next line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._append_lock = ProcessLock(str(path))
        # Optuna 5.0 does not export the base class of its locks, which declares these two methods.
        super().__init__(str(path), lock_obj=self._append_lock)  # type: ignore[arg-type]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append log entries after removing an incomplete last line."""
        self._append_lock.acquire()
        try:
            drop_torn_line(self._path)
            super().append_logs(logs)
        finally:
            self._append_lock.release()


def drop_torn_line(path: Path) -> None:
    with open(path, "rb+") as file:
        if not file.seek(0, os.SEEK_END):
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def open_storage(sweep: SweepDir, url: str | None) -> BaseStorage:
    """Open a storage, creating it if necessary.

    The caller must hold the lock of the storage, because two processes cannot create it at the same time
    (Optuna 5.0 with SQLite).

    Args:
        sweep: the sweep whose study is stored.
        url: the database; None for the journal in the sweep's folder.

    Raises:
        UserError: it cannot be reached, or is of an unsupported kind.
    """
    if url is None:
        return JournalStorage(Journal(sweep.study_path))
    url = full_url(url)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("sqlite"):
        options = {"connect_args": {"timeout": BUSY_TIMEOUT_S}}
    with database_errors(url):
        return RDBStorage(url, engine_kwargs=options)


def lock_of(sweep: SweepDir, url: str | None) -> Lock:
    """Return the lock that belongs to a storage; arguments as for `open_storage`."""
    if url is None:
        return lambda: FileLock(sweep.path / ".turn.lock")
    full = full_url(url)
    file = sqlite_file(full)
    return (lambda: FileLock(f"{file}.turn.lock")) if file else (lambda: postgresql_lock(full, sweep.name))


@contextmanager
def postgresql_lock(url: str, name: str) -> Iterator[None]:
    """Hold an advisory lock of the server, which releases it when the connection ends."""
    from sqlalchemy import NullPool, create_engine, text

    key = int.from_bytes(hashlib.sha256(f"runner sweep {name}".encode()).digest()[:8], "big", signed=True)
    with database_errors(url):
        connection = create_engine(url, poolclass=NullPool).connect()
    with connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
        yield


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Convert errors of a database that cannot be used into a `UserError` of one sentence."""
    try:
        yield
    except ImportError as error:
        raise UserError(
            f"sweep.storage={url_without_password(url)} needs a driver: "
            f"pip install 'runner[postgresql]' ({error})."
        ) from error
    except Exception as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise UserError(f"the study cannot be stored in {url_without_password(url)}: {reason}.") from error


def full_url(url: str) -> str:
    """Return the URL with the installed driver, or with the absolute path of a file.

    Raises:
        UserError: the URL is not that of a supported storage.
    """
    kind, separator, rest = url.partition("://")
    if kind == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return f"sqlite:///{Path(rest[1:]).absolute()}"
    if kind in ("postgresql", "postgres", "postgresql+psycopg") and separator and rest:
        return f"postgresql+psycopg://{rest}"
    raise UserError(f"sweep.storage={url_without_password(url)}: expected {KINDS}.")


def sqlite_file(url: str) -> str | None:
    return url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else None


def without_password(url: str | None) -> str | None:
    """Return a URL without its password, as it may be written to files.

    Processes obtain the password from ``PGPASSWORD`` or ``~/.pgpass``.
    """
    return None if url is None else url_without_password(url)


def url_without_password(url: str) -> str:
    """Return a URL without its password; unchanged if it cannot be parsed."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError:
        return url
    return url if parsed.password is None else parsed._replace(password=None).render_as_string()
