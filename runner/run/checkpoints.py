"""The checkpoints of a run: the list of them, the newest, the best, and the verification of their files.

``checkpoints/index.json`` lists them in the order of saving. An unlisted file is ignored: the process ended
while writing it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from runner.errors import CheckpointError
from runner.run.directory import RunDir
from runner.run.files import write_json

__all__ = [
    "Checkpoint",
    "best_checkpoint",
    "damage",
    "file_digest",
    "last_checkpoint",
    "read_index",
    "sort_by_metric",
    "write_index",
]

INDEX = "index.json"
PATTERN = "step-*.ckpt"

log = logging.getLogger("runner.checkpoints")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint.

    Attributes:
        file: name in the folder.
        step: number of optimizer updates done.
        epoch: epoch of the last update, counted from 0.
        kind: the reason for saving it.
        sha256: SHA-256 of the file's bytes, or of the folder's file names and digests.
        monitor, mode, value: the metric that selects the best checkpoint, if it was measured on exactly these
            weights.
        folder: folder of the index that lists it.
    """

    file: str
    step: int
    epoch: int
    kind: Literal["epoch", "validation", "step", "interrupt"]
    sha256: str
    monitor: str | None = None
    mode: Literal["min", "max"] = "min"
    value: float | None = None
    folder: str = ""

    @property
    def path(self) -> Path:
        return Path(self.folder) / self.file

    @property
    def name(self) -> str:
        return self.file

    def __fspath__(self) -> str:
        return str(self.path)

    __str__ = __fspath__

    def as_dict(self) -> dict[str, Any]:
        """The representation stored in ``results.json``."""
        return {
            "checkpoint": self.file,
            "step": self.step,
            "epoch": self.epoch,
            "monitor": self.monitor,
            "value": self.value,
        }


def read_index(folder: str | Path) -> list[Checkpoint]:
    """The listed checkpoints, oldest first; an empty list without an index.

    Raises:
        CheckpointError: the index cannot be read.
    """
    path = Path(folder) / INDEX
    known = {field.name for field in fields(Checkpoint)} - {"folder"}
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
        kept = [{key: value for key, value in record.items() if key in known} for record in records]
        return [Checkpoint(**record, folder=str(folder)) for record in kept]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}, the list of this run's checkpoints, cannot be read: {error}. Restore it from a copy, "
            f"or move the folder {folder} away to train from the beginning."
        ) from error


def write_index(folder: str | Path, entries: list[Checkpoint]) -> None:
    """Replaces the list, durably."""
    records = [asdict(entry) for entry in entries]
    for record in records:
        del record["folder"]
    write_json(Path(folder) / INDEX, records, durable=True)


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, or of the names and SHA-256 of a folder's files."""
    if os.path.isdir(path):
        files = sorted(file for file in Path(path).rglob("*") if file.is_file())
        lines = (f"{file_digest(file)}  {file.relative_to(path)}\n" for file in files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(entry: Checkpoint) -> str | None:
    """A description of the damage to a checkpoint's file, or None if its bytes match the recorded digest."""
    try:
        digest = file_digest(entry.path)
    except OSError as error:
        return f"{entry.path} cannot be read: {error.strerror or error}"
    if digest != entry.sha256:
        size = os.path.getsize(entry.path)
        return (
            f"{entry.path} is damaged: its {size} bytes have the SHA-256 {digest}, {entry.sha256} was written"
        )
    return None


def sort_by_metric(entries: list[Checkpoint]) -> list[Checkpoint]:
    """Checkpoints with a finite value of the latest monitored metric, best first; ties go to the earlier
    one.
    """
    measured = [entry for entry in entries if entry.value is not None and math.isfinite(entry.value)]
    measured = [entry for entry in measured if entry.monitor == measured[-1].monitor]
    sign = -1 if measured and measured[-1].mode == "max" else 1
    return sorted(measured, key=lambda entry: sign * entry.value)


def last_checkpoint(run: RunDir) -> Checkpoint | None:
    """The newest intact checkpoint, or None if the run has none yet. Damaged checkpoints are logged.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    return first_unharmed(read_index(run.checkpoints)[::-1], run)


def best_checkpoint(run: RunDir) -> Checkpoint | None:
    """The intact checkpoint with the best value of the monitored metric, or the newest if none was measured.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    entries = read_index(run.checkpoints)
    ranked = sort_by_metric(entries)
    return first_unharmed(ranked + [entry for entry in entries[::-1] if entry not in ranked], run)


def first_unharmed(candidates: list[Checkpoint], run: RunDir) -> Checkpoint | None:
    wrong = []
    for entry in candidates:
        problem = damage(entry)
        if problem is None:
            if wrong:
                log.warning("%s. Using %s (step %d) instead.", "; ".join(wrong), entry.file, entry.step)
            return replace(entry, folder=str(run.checkpoints))
        wrong.append(problem)
    if wrong:
        raise CheckpointError(
            f"no checkpoint of {run.name} can be used: {'; '.join(wrong)}. Restore one from a copy, "
            f"or move {run.checkpoints} away to train from the beginning."
        )
    return None
