"""Verification of all images, and the list of broken files that are set aside."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.data.download.progress import progress
from runner.data.images.brightness import find_white
from runner.data.images.decode import decode_image
from runner.errors import DataError

__all__ = ["BROKEN_LIST", "BrokenFile", "describe", "read_broken", "verify_images", "write_broken"]

BROKEN_LIST = "broken.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class BrokenFile:
    """A file that cannot be decoded.

    Attributes:
        path: relative to the data set's folder.
        reason: a clause without a full stop.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.reason})"


def verify_images(
    root: Path, paths: Sequence[str], num_threads: int | None = None, max_value: float | None = None
) -> list[BrokenFile]:
    """Decode every file and return those that cannot be decoded, sorted by path.

    Images with more than eight bits that would keep few of their grey levels are logged. Threads are used
    instead of processes: both decoders release the GIL, and no module has to be imported again.

    Args:
        root: the folder that the paths are relative to.
        paths: paths of the files.
        num_threads: number of threads; one per core when None.
        max_value: white in images with more than eight bits; see ``runner.data.images.decode``.
    """
    broken = []
    with (
        ThreadPoolExecutor(num_threads or os.cpu_count()) as pool,
        progress(f"Verifying the images of {root.name}", len(paths), "files") as show,
    ):
        reasons = pool.map(lambda path: why_broken(root / path, max_value), paths)
        for done, (path, reason) in enumerate(zip(paths, reasons, strict=True), 1):
            if reason:
                broken.append(BrokenFile(path, reason))
            show(done)
    report_brightness(root, sorted(set(paths) - {entry.path for entry in broken}), max_value)
    return sorted(broken)


def report_brightness(root: Path, paths: Sequence[str], max_value: float | None) -> None:
    _, note = find_white([root / path for path in paths], max_value)
    if note is not None:
        logger.warning(note)


def why_broken(path: Path, max_value: float | None = None) -> str | None:
    try:
        decode_image(path.read_bytes(), max_value)
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return None


def write_broken(file: Path, broken: Sequence[BrokenFile], num_checked: int) -> None:
    """Write the list of files that data modules leave out.

    Its format is ``{"checked": N, "broken": [{"path": …, "reason": …}]}``.
    """
    content = {"checked": num_checked, "broken": [asdict(entry) for entry in sorted(broken)]}
    partial = file.with_name(file.name + ".part")
    partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, file)


def read_broken(file: Path) -> list[BrokenFile]:
    """Read the list written by ``write_broken``; an empty list if the file does not exist.

    Raises:
        DataError: the file is not a list of broken files.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return [BrokenFile(str(entry["path"]), str(entry["reason"])) for entry in content["broken"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{file} is not a list of broken files written by `runner data verify` "
            f"({type(error).__name__}: {error}). Delete it, and verify again."
        ) from error


def describe(set_aside: Sequence[BrokenFile]) -> list[str]:
    """Return a message that names the files left out, or an empty list."""
    if not set_aside:
        return []
    named = "; ".join(map(str, set_aside[:10]))
    more = f" … and {len(set_aside) - 10} more" if len(set_aside) > 10 else ""
    return [f"{len(set_aside)} broken files are set aside: {named}{more}."]
