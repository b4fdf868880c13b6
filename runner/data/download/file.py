"""Download of one file: resumable, checked, atomic, safe for several processes at once.

No library does all of it: ``torch.hub.download_url_to_file`` starts again after a cut connection, and so does pooch.
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
    """What is to be fetched, from where, and how it is known to be right."""

    url: str
    path: Path
    sha256: str
    size: int | None

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")


def data_folder(data_dir: str | None = None) -> Path:
    """Where downloads are kept: ``data_dir``, else ``$RUNNER_DATA``, else ``~/.cache/runner``."""
    return Path(data_dir or os.environ.get("RUNNER_DATA") or "~/.cache/runner").expanduser().absolute()


def download(url: str, path: str | Path, sha256: str, size: int | None = None, extra_bytes: int = 0) -> Path:
    """Fetches ``url`` to ``path``, unless the right file is there already.

    A cut connection is tried again, and a killed download goes on where it stopped (``path`` + ``.part``), if
    the server answers ranges; otherwise it starts again.

    Args:
        sha256: what the file must be; nothing else ever gets the name ``path``.
        size: in bytes, where it is known: then a wrong file is refused before it is fetched.
        extra_bytes: disk space needed afterwards in the same folder, such as for the extracted archive.

    Raises:
        DataError: no network, no space, or a file that is not the one expected; says what to do.
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
    """Keeps other processes away from making ``path``; says so when it has to wait for one."""
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
    """Refuses before the work what could not end.

    Args:
        folder: an existing one.
        needed: in bytes.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"Not enough disk space for {purpose}: {bytes_text(needed)} are needed in {folder}, "
            f"{bytes_text(free)} are free. Free some space, or choose another folder with "
            f"data.data_dir=FOLDER or the environment variable RUNNER_DATA."
        )


def disk_error(error: OSError, path: Path) -> DataError:
    """What an operating system's error means for the user who wanted ``path``."""
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
            f"Delete it to download it again from {order.url}, or put the right one in its place."
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
    if problem and resumed:  # the first part may be of an older file, or of a disk that lost its last writes
        order.part.unlink()
        _fetch(order)
        problem = _mismatch(order, order.part)
    if problem:
        order.part.unlink()
        raise DataError(
            f"What {order.url} sent is not the expected file: {problem}. Nothing was kept. Either something in "
            f"between (a proxy, a login page) changed it, or it was replaced there. {_by_hand(order)}"
        )
    os.replace(order.part, order.path)


def _fetch(order: _Order) -> None:
    try:
        fetch(order.url, order.part, order.size)
    except FetchError as error:
        kept = size_of(order.part)
        goes_on = f" {bytes_text(kept)} are kept; the same command goes on from there." if kept else ""
        raise DataError(f"Could not download {order.url}: {error}.{goes_on} {_by_hand(order)}") from error


def _by_hand(order: _Order) -> str:
    size = "" if order.size is None else f"{order.size} bytes, "
    return (
        f"To do it by hand: get that file where there is a network, put it at {order.path} "
        f"({size}SHA-256 {order.sha256}) and run the command again."
    )
