"""The log of a run that other machines carry out, shown here as it grows."""

from __future__ import annotations

from pathlib import Path

__all__ = ["show_new"]

NOISE = ("submitit ", "slurmstepd", "srun: ")
"""How lines begin that are SLURM's and submitit's own, and say what is said here in other words."""


def show_new(log: Path, read: int) -> int:
    """Prints whole lines from ``read`` on.

    Returns:
        How far it has come.
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
