"""Small files that are written atomically, so that a reader never sees a partial file."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from runner.run.flatten import flatten
from runner.run.small_files import parse_json

__all__ = [
    "DISK_FULL_ERRORS",
    "cannot_write",
    "flattened",
    "fsync_folder",
    "read_json",
    "remove",
    "replace_file",
    "rows_as_csv",
    "write_json",
    "write_text",
]


def rows_as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Return CSV text with a header and one line per row.

    Nested values become separate columns such as ``probs.cat``.
    """
    text = io.StringIO()
    flat = [flattened(row) for row in rows]
    # Each row lists its most likely classes first; columns use the order of the classes instead.
    nested = [key for row in flat for key in row if key not in rows[0] and "." in key]
    plain = [key for row in flat for key in row if key not in nested]
    columns = [*dict.fromkeys(plain), *sorted(set(nested), key=natural)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``class 10`` after ``class 9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def flattened(row: dict[str, Any]) -> dict[str, Any]:
    """Return nested values as columns: ``{"probs": {"cat": 0.9}}`` → ``{"probs.cat": 0.9}``."""
    return {key: value for key, value in flatten(row) if not isinstance(value, dict)}


DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Error numbers for a full disk, an exceeded quota or a read-only file system."""


def cannot_write(path: Path, error: OSError) -> str:
    """Return the message for a failed write: the reason, what is kept, and what to do."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        with suppress(OSError):
            reason += f" ({shutil.disk_usage(path.parent).free / 2**20:.0f} MiB free)"
        return (
            f"no space for {path}: {reason}. Everything saved earlier is kept. Free some space, then "
            "`runner resume`."
        )
    return (
        f"{path} cannot be written: {reason}. Choose another folder with run.root=FOLDER, or make this one "
        "writable."
    )


def fsync_folder(folder: str | Path) -> None:
    """Make renames in ``folder`` durable, so that they survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, if it exists, or a folder with its contents."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace_file(source: str | Path, target: str | Path) -> None:
    """Rename ``source`` to ``target`` in the same folder, replacing it durably."""
    os.replace(source, target)
    fsync_folder(Path(target).parent)


def write_text(path: str | Path, text: str, durable: bool = False) -> None:
    """Replace a text file atomically.

    Args:
        path: the file; its folder must exist.
        text: the new content, written as UTF-8.
        durable: flush the file and its folder to disk, so that the content survives a power failure.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        fsync_folder(path.parent)


def write_json(path: str | Path, value: Any, durable: bool = False) -> None:
    """Replace a JSON file atomically; see `write_text`. Values unknown to JSON are stored as text."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n", durable)


def read_json(path: str | Path, default: Any = None) -> Any:
    """Return the file's value, or ``default`` if the file does not exist.

    Raises:
        DamagedFileError: the file is no JSON, or not as expected; see `runner.run.small_files`.
    """
    try:
        return parse_json(path)
    except FileNotFoundError:
        return default
