"""The checkpoints of a run: which there are, which is newest, which is best, and whether a file is unharmed.

``checkpoints/index.json`` lists them in the order of saving. A file that is not listed does not count: it was
being written when the process ended.
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
    "sort_by_metric",
    "read_index",
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
        step: optimizer updates done.
        epoch: the epoch the last of them belongs to, counted from 0.
        kind: what it was saved for.
        sha256: of the file's bytes, or those of the folder's files.
        monitor, mode, value: the metric that picks the best one, where it was measured on these very weights.
        folder: where the index that lists it lies.
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
        """As ``results.json`` keeps it."""
        return {
            "checkpoint": self.file,
            "step": self.step,
            "epoch": self.epoch,
            "monitor": self.monitor,
            "value": self.value,
        }


def read_index(folder: str | Path) -> list[Checkpoint]:
    """The listed checkpoints, oldest first; none when there is no list.

    Raises:
        CheckpointError: the list itself cannot be read.
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
    """What is wrong with a checkpoint's file, or None when its bytes are those that were written."""
    try:
        found = file_digest(entry.path)
    except OSError as error:
        return f"{entry.path} cannot be read: {error.strerror or error}"
    if found != entry.sha256:
        size = os.path.getsize(entry.path)
        return (
            f"{entry.path} is damaged: its {size} bytes have the SHA-256 {found}, {entry.sha256} was written"
        )
    return None


def sort_by_metric(entries: list[Checkpoint]) -> list[Checkpoint]:
    """Those with a finite value of the metric that was monitored last, best first; the earlier wins a draw."""
    measured = [entry for entry in entries if entry.value is not None and math.isfinite(entry.value)]
    measured = [entry for entry in measured if entry.monitor == measured[-1].monitor]
    sign = -1 if measured and measured[-1].mode == "max" else 1
    return sorted(measured, key=lambda entry: sign * entry.value)


def last_checkpoint(run: RunDir) -> Checkpoint | None:
    """The newest unharmed checkpoint, or None when the run has none yet. Damaged ones are named in the log.

    Raises:
        CheckpointError: all there are, are damaged.
    """
    return first_unharmed(read_index(run.checkpoints)[::-1], run)


def best_checkpoint(run: RunDir) -> Checkpoint | None:
    """The unharmed checkpoint with the best value of the monitored metric; the newest when none was measured.

    Raises:
        CheckpointError: all there are, are damaged.
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
