"""Download of one file: resumable, verified, atomic, and safe with concurrent processes.

Neither ``torch.hub.download_url_to_file`` nor pooch resumes after a lost connection.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.data.download.http import FetchError, fetch, size_of
from runner.data.download.progress import bytes_text
from runner.errors import DataError

__all__ = ["check_space", "data_folder", "disk_error", "download", "locked"]


@dataclass(frozen=True)
class _Order:
    """A file to download: its URL, its path, and its expected size and checksum."""

    url: str
    path: Path
    sha256: str
    size: int | None

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")


def data_folder(data_dir: str | None = None) -> Path:
    """Returns the folder for downloads: ``data_dir``, else ``$RUNNER_DATA``, else ``~/.cache/runner``."""
    return Path(data_dir or os.environ.get("RUNNER_DATA") or "~/.cache/runner").expanduser().absolute()


def download(url: str, path: str | Path, sha256: str, size: int | None = None, extra_bytes: int = 0) -> Path:
    """Downloads ``url`` to ``path``, unless the correct file exists already.

    A lost connection is retried, and an interrupted download is resumed (from ``path`` + ``.part``) if the
    server supports range requests; otherwise it restarts.

    Args:
        url: location of the file.
        path: target path.
        sha256: expected checksum; only a file with this checksum is moved to ``path``.
        size: expected size in bytes, if known: a wrong file is then rejected before it is downloaded.
        extra_bytes: disk space needed afterwards in the same folder, such as for the extracted archive.

    Raises:
        DataError: no network, no disk space, or an unexpected file; the message says what to do.
    """
    order = _Order(url, Path(path).absolute(), sha256.lower(), size)
    try:
        order.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(order.path):
            if order.path.exists():
                _check_present(order)
            else:
                _fetch_whole(order, extra_bytes)
    except OSError as error:
        raise disk_error(error, order.path) from error
    return order.path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock on ``path`` between processes; prints a message if it has to wait."""
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        print(f"Another process is preparing {path}; waiting for it.", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Raises an error if a folder has too little free disk space.

    Args:
        folder: an existing folder.
        needed: required space, in bytes.
        purpose: what the space is needed for, for the message.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"Not enough disk space for {purpose}: {bytes_text(needed)} are needed in {folder}, "
            f"{bytes_text(free)} are free. Free some space, or choose another folder with "
            f"data.data_dir=FOLDER or the environment variable RUNNER_DATA."
        )


def disk_error(error: OSError, path: Path) -> DataError:
    """Converts an operating system error while writing ``path`` to a user-facing error."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DataError(
            f"The disk became full while making {path}. Free some space and run the command again."
        )
    return DataError(
        f"Cannot write {path}: {error.strerror or error}. Choose a folder that can be written with "
        f"data.data_dir=FOLDER or the environment variable RUNNER_DATA."
    )


def _check_present(order: _Order) -> None:
    problem = _mismatch(order, order.path)
    if problem:
        raise DataError(
            f"{order.path} is not the expected file: {problem}. "
            f"Delete it to download it again from {order.url}, or replace it with the correct file."
        )


def _mismatch(order: _Order, path: Path) -> str | None:
    size = path.stat().st_size
    if order.size is not None and size != order.size:
        return f"it has {size} bytes, expected {order.size}"
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != order.sha256:
        return f"its SHA-256 is {digest}, expected {order.sha256}"
    return None


def _fetch_whole(order: _Order, extra_bytes: int) -> None:
    resumed = size_of(order.part) > 0
    rest = max(0, (order.size or 0) - size_of(order.part))
    check_space(order.path.parent, rest + extra_bytes, f"downloading {order.path.name}")
    _fetch(order)
    problem = _mismatch(order, order.part)
    if (
        problem and resumed
    ):  # the partial file may be of an older version, or a disk may have lost its last writes
        order.part.unlink()
        _fetch(order)
        problem = _mismatch(order, order.part)
    if problem:
        order.part.unlink()
        raise DataError(
            f"What {order.url} sent is not the expected file: {problem}. Nothing was kept. Either a "
            f"proxy or login page changed it, or it was replaced on the server. {_by_hand(order)}"
        )
    os.replace(order.part, order.path)


def _fetch(order: _Order) -> None:
    try:
        fetch(order.url, order.part, order.size)
    except FetchError as error:
        kept = size_of(order.part)
        hint = f" {bytes_text(kept)} are kept; run the same command again to resume." if kept else ""
        raise DataError(f"Could not download {order.url}: {error}.{hint} {_by_hand(order)}") from error


def _by_hand(order: _Order) -> str:
    size = "" if order.size is None else f"{order.size} bytes, "
    return (
        f"To download it manually: fetch the file on a machine with network access, put it at {order.path} "
        f"({size}SHA-256 {order.sha256}) and run the command again."
    )
