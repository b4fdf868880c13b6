"""The folder of a run's checkpoints: whether it can be written, what counts in it, how a new file is called."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from runner.errors import CheckpointError
from runner.run.checkpoints import Checkpoint, read_index
from runner.run.files import cannot_write, remove, replace_file

__all__ = ["check_folder", "free_path", "timeline"]

PROBE_BYTES = 4096


def check_folder(folder: str | Path, need_bytes: int = 0) -> None:
    """Makes the folder, clears what a killed process left half written, and tries a file in it.

    Args:
        need_bytes: that must be free.

    Raises:
        CheckpointError: it cannot be written, or has no room.
    """
    folder = Path(folder)
    probe = folder / ".probe.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for litter in folder.glob(".*.tmp"):
            remove(litter)
        with open(probe, "wb") as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        replace_file(probe, probe.with_suffix(".done"))
        probe.with_suffix(".done").unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise CheckpointError(cannot_write(folder, error)) from error
    if free < need_bytes:
        raise CheckpointError(
            f"{folder} has {free / 2**20:.0f} MiB free; the checkpoints of this run need about "
            f"{need_bytes / 2**20:.0f} MiB. Make room, choose another place with run.root=FOLDER, "
            "or keep fewer with checkpoint.keep_last=1 checkpoint.keep_best=0."
        )


def free_path(folder: Path, step: int) -> Path:
    """``step-00000123.ckpt``, or ``step-00000123-2.ckpt`` when that state of the same step is still there."""
    path = folder / f"step-{step:08d}.ckpt"
    attempt = 1
    while path.exists():
        attempt += 1
        path = folder / f"step-{step:08d}-{attempt}.ckpt"
    return path


def timeline(folder: Path, resumed: str | Path | None) -> list[Checkpoint]:
    """The checkpoints up to the one resumed from. Later ones are forgotten: the run comes by there again.

    Raises:
        CheckpointError: there are checkpoints, and none of them is resumed from.
    """
    entries = read_index(folder)
    if not entries:
        return []
    names = [entry.file for entry in entries]
    resumed = Path(resumed).resolve() if resumed else None
    if resumed is None or resumed.parent != folder.resolve() or resumed.name not in names:
        raise CheckpointError(
            f"{folder} holds {len(entries)} checkpoints ({', '.join(names)}), and the run is to start from "
            f"{resumed or 'the beginning'}. Resume from one of them, or move the folder away."
        )
    return entries[: names.index(resumed.name) + 1]
