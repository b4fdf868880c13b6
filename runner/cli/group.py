"""Commands that torchrun or srun starts several times at once."""

from __future__ import annotations

import os

from runner.errors import UserError

__all__ = ["is_first", "refuse_in_group"]

SIGNS = ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS", "MASTER_PORT")


def is_first() -> bool:
    """Whether this process is the one that speaks."""
    return _place().is_first


def refuse_in_group(command: str) -> None:
    """
    Raises:
        UserError: several processes carry out a command that is one process's work; the others end without a word.
    """
    place = _place()
    if place.world_size == 1:
        return
    if not place.is_first:
        raise SystemExit(UserError.exit_code)
    raise UserError(
        f"`{command}` is the work of one process, and {place.starter} has started {place.world_size}. "
        "Call it without, or with a single process."
    )


def _place():
    from runner.ranks.place import Place

    return Place.here() if any(name in os.environ for name in SIGNS) else Place()
