"""The checkpoints of a run: their index, the newest, the best, and the verification of their files.

``checkpoints/index.json`` lists them in the order of saving. An unlisted file is incomplete, because the
process ended while writing it, and is ignored.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from runner.errors import CheckpointError
from runner.run.directory import RunDir
from runner.run.files import write_json
from runner.run.small_files import parse_json

__all__ = [
    "Checkpoint",
    "best_checkpoint",
    "describe_damage",
    "file_digest",
    "last_checkpoint",
    "read_index",
    "sort_by_metric",
    "write_index",
]

INDEX = "index.json"
PATTERN = "step-*.ckpt"

log = logging.getLogger("runner.checkpoints")

DescribeUnloadable = Callable[[Path], str | None]
"""Describes why a checkpoint cannot be loaded; None if it can be."""


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
        """The file, or the folder of a sharded checkpoint."""
        return Path(self.folder) / self.file

    @property
    def name(self) -> str:
        """The file's name, as for a ``Path``."""
        return self.file

    def __fspath__(self) -> str:
        return str(self.path)

    __str__ = __fspath__

    def as_dict(self) -> dict[str, Any]:
        """Return the representation stored in ``results.json``."""
        return {
            "checkpoint": self.file,
            "step": self.step,
            "epoch": self.epoch,
            "monitor": self.monitor,
            "value": self.value,
        }


def read_index(folder: str | Path) -> list[Checkpoint]:
    """Return the listed checkpoints, oldest first; an empty list without an index.

    Raises:
        CheckpointError: the index cannot be read.
    """
    path = Path(folder) / INDEX
    known = {field.name for field in fields(Checkpoint)} - {"folder"}
    try:
        records = parse_json(path)
        kept = [{key: value for key, value in record.items() if key in known} for record in records]
        entries = [Checkpoint(**record, folder=str(folder)) for record in kept]
        for entry in entries:
            check_types(entry)
        return entries
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).removesuffix(". Restore it from a copy.")
        raise CheckpointError(
            f"{path}, the list of this run's checkpoints, cannot be read: {reason}. Restore it from a copy, "
            f"or move the folder {folder} away to train from the beginning."
        ) from error


def check_types(entry: Checkpoint) -> None:
    """Raise a TypeError for an entry with values of wrong types or a file outside the folder."""
    texts = (entry.file, entry.kind, entry.sha256, entry.mode)
    numbers = (entry.step, entry.epoch)
    is_valid = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
    is_valid = (
        is_valid and isinstance(entry.monitor, str | None) and isinstance(entry.value, int | float | None)
    )
    if not is_valid or Path(entry.file).name != entry.file:
        raise TypeError(f"{str(entry.file)[:80]!r} is no valid entry")


def write_index(folder: str | Path, entries: list[Checkpoint]) -> None:
    """Replace the index, durably."""
    records = [asdict(entry) for entry in entries]
    for record in records:
        del record["folder"]
    write_json(Path(folder) / INDEX, records, durable=True)


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, or of the names and SHA-256 of a folder's files."""
    if os.path.isdir(path):
        files = sorted(file for file in Path(path).rglob("*") if file.is_file())
        lines = (f"{file_digest(file)}  {file.relative_to(path)}\n" for file in files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_damage(entry: Checkpoint) -> str | None:
    """Describe the damage to a checkpoint's file; None if its bytes match the recorded digest."""
    try:
        digest = file_digest(entry.path)
    except OSError as error:
        return f"{entry.path} cannot be read: {error.strerror or error}"
    if digest != entry.sha256:
        size = os.path.getsize(entry.path)
        return (
            f"{entry.path} is damaged: its {size} bytes have the SHA-256 {digest}, but {entry.sha256} was "
            "recorded when it was written"
        )
    return None


def sort_by_metric(entries: list[Checkpoint]) -> list[Checkpoint]:
    """Return the checkpoints with a finite value of the latest monitored metric, best first.

    Of two equal values, the earlier checkpoint comes first.
    """
    measured = [
        (entry.value, entry) for entry in entries if entry.value is not None and math.isfinite(entry.value)
    ]
    measured = [(value, entry) for value, entry in measured if entry.monitor == measured[-1][1].monitor]
    sign = -1 if measured and measured[-1][1].mode == "max" else 1
    return [entry for _, entry in sorted(measured, key=lambda pair: sign * pair[0])]


def last_checkpoint(run: RunDir, describe_unloadable: DescribeUnloadable | None = None) -> Checkpoint | None:
    """Return the newest intact checkpoint, or None if the run has none yet. Damaged ones are logged.

    Args:
        run: the run.
        describe_unloadable: an additional check of each file; None compares only the bytes with the digest.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    return first_intact(read_index(run.checkpoints)[::-1], run, describe_unloadable)


def best_checkpoint(run: RunDir, describe_unloadable: DescribeUnloadable | None = None) -> Checkpoint | None:
    """Return the intact checkpoint with the best value of the monitored metric.

    If none has a value, the newest intact one is returned.

    Args:
        run: the run.
        describe_unloadable: an additional check of each file; None compares only the bytes with the digest.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    entries = read_index(run.checkpoints)
    ranked = sort_by_metric(entries)
    return first_intact(
        ranked + [entry for entry in entries[::-1] if entry not in ranked], run, describe_unloadable
    )


def first_intact(
    candidates: list[Checkpoint], run: RunDir, describe_unloadable: DescribeUnloadable | None = None
) -> Checkpoint | None:
    damages: list[str] = []
    for entry in candidates:
        damage = describe_damage(entry)
        if damage is None and describe_unloadable is not None:
            damage = describe_unloadable(entry.path)
        if damage is None:
            if damages:
                log.warning("%s. Using %s (step %d) instead.", "; ".join(damages), entry.file, entry.step)
            return replace(entry, folder=str(run.checkpoints))
        damages.append(damage)
    if damages:
        raise CheckpointError(
            f"no checkpoint of {run.name} can be used: {'; '.join(damages)}. Restore one from a copy, "
            f"or move {run.checkpoints} away to train from the beginning."
        )
    return None
