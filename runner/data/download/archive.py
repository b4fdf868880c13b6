"""Safe extraction of zip and tar archives: all entries are checked before the first is written."""

from __future__ import annotations

import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from runner.data.download.file import check_space, disk_error, locked
from runner.data.download.progress import bytes_text, progress
from runner.errors import DataError

__all__ = ["extract"]

Archive = zipfile.ZipFile | tarfile.TarFile

MAX_RATIO = 100
ALWAYS_ALLOWED_BYTES = 1 << 26
CHUNK = 1 << 20
ROTTEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,  # a compression method that zipfile does not support
)


@dataclass(frozen=True)
class Entry:
    """One entry of an archive.

    Attributes:
        kind: ``file``, ``folder``, or a rejected kind: ``a symbolic link``, ``encrypted`` …
        size: declared size, in bytes.
        handle: the archive library's own object for the entry.
    """

    name: str
    kind: str
    size: int
    handle: Any


def extract(archive: str | Path, folder: str | Path, max_bytes: int | None = None) -> Path:
    """Extracts a zip or tar archive into ``folder`` atomically.

    Does nothing if ``folder`` exists. Permissions, owners and times are not restored.

    Args:
        archive: the file.
        folder: the folder to create.
        max_bytes: maximum extracted size; 100 times the archive (at least 64 MiB) when None.

    Raises:
        DataError: the archive is missing or damaged, has an entry that is not a plain file or folder or would
            lie outside ``folder``, or is too large when extracted. Nothing is written then.
    """
    archive, folder = Path(archive).absolute(), Path(folder).absolute()
    try:
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with locked(folder):
                _extract_locked(archive, folder, max_bytes)
    except ROTTEN as error:
        raise _damaged(archive, error) from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report damaged data this way
            raise _damaged(archive, error) from error
        raise disk_error(error, folder) from error
    return folder


def _damaged(archive: Path, error: Exception) -> DataError:
    return DataError(f"{archive} is a damaged archive ({error}). Delete it and download it again.")


def _extract_locked(archive: Path, folder: Path, max_bytes: int | None) -> None:
    if folder.exists():  # created by the process that held the lock before
        return
    if not archive.exists():
        raise DataError(f"The archive {archive} does not exist.")
    if max_bytes is None:
        max_bytes = max(ALWAYS_ALLOWED_BYTES, MAX_RATIO * archive.stat().st_size)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
    try:
        with _opened(archive) as opened:
            entries = _check_entries(archive, opened, max_bytes)
            check_space(folder.parent, sum(entry.size for entry in entries), f"unpacking {archive.name}")
            _write_all(archive, opened, entries, partial)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _opened(archive: Path) -> Iterator[Archive]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield opened
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened:
            yield opened
    else:
        raise DataError(f"{archive} is neither a zip nor a tar archive. Delete it and download it again.")


def _entries(opened: Archive) -> Iterator[Entry]:
    if isinstance(opened, zipfile.ZipFile):
        for info in opened.infolist():
            yield Entry(info.filename.replace("\\", "/"), _zip_kind(info), info.file_size, info)
    else:
        for member in opened:
            yield Entry(member.name.replace("\\", "/"), _tar_kind(member), member.size, member)


def _zip_kind(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        return "encrypted"
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a device or pipe"
    return "folder" if info.is_dir() else "file"


def _tar_kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "a symbolic link"
    if member.islnk():
        return "a hard link"
    if member.isdir():
        return "folder"
    return "file" if member.isreg() else "a device or pipe"


def _check_entries(archive: Path, opened: Archive, max_bytes: int) -> list[Entry]:
    """Returns all entries, or rejects the archive.

    Stops reading as soon as their declared size is too large.
    """
    entries, bad, total = [], [], 0
    for entry in _entries(opened):
        total += entry.size
        if total > max_bytes:
            raise DataError(
                f"{archive} would unpack to more than {bytes_text(max_bytes)}, far more than such an archive "
                f"holds. Nothing was unpacked; delete it, and download it from a source you trust."
            )
        if _is_outside(entry.name):
            bad.append(f"{entry.name!r} would lie outside the folder")
        elif entry.kind not in ("file", "folder"):
            bad.append(f"{entry.name!r} is {entry.kind}")
        entries.append(entry)
    if bad:
        more = f" … and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise DataError(
            f"{archive} holds entries that no data set needs: {'; '.join(bad[:5])}{more}. Nothing was "
            "unpacked; "
            f"delete it, and download it from a source you trust."
        )
    return entries


def _is_outside(name: str) -> bool:
    return name.startswith("/") or re.match(r"[A-Za-z]:", name) is not None or ".." in name.split("/")


def _write_all(archive: Path, opened: Archive, entries: list[Entry], folder: Path) -> None:
    folder.mkdir()
    files = [entry for entry in entries if entry.kind == "file"]
    done = 0
    with progress(f"Unpacking {archive.name}", sum(entry.size for entry in files)) as show:
        for entry in files:
            target = folder / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with _source(opened, entry) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, CHUNK)
            if target.stat().st_size != entry.size:
                raise zipfile.BadZipFile(f"{entry.name} does not have the size that the archive declares")
            done += entry.size
            show(done)


def _source(opened: Archive, entry: Entry) -> IO[bytes]:
    if isinstance(opened, zipfile.ZipFile):
        return opened.open(entry.handle)
    file = opened.extractfile(entry.handle)
    assert file is not None  # special entries have been rejected
    return file
