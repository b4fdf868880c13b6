"""Shows the growing log of a run that executes on another machine."""

from __future__ import annotations

from pathlib import Path

__all__ = ["show_new"]

NOISE = ("submitit ", "slurmstepd", "srun: ")
"""Prefixes of lines written by SLURM and submitit that repeat what runner reports itself."""


def show_new(log: Path, read: int) -> int:
    """Prints the complete lines after byte offset ``read``.

    Returns:
        The offset after the last printed line.
    """
    try:
        with open(log, "rb") as file:
            file.seek(read)
            data = file.read()
    except FileNotFoundError:
        return read
    whole = data[: data.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        if not line.startswith(NOISE):
            print(line, flush=True)
    return read + len(whole)
