"""Commands that torchrun or srun starts several times at once."""

from __future__ import annotations

import os

from runner.errors import UserError

__all__ = ["is_first", "reject_in_group"]

SIGNS = ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS", "MASTER_PORT")


def is_first() -> bool:
    """Whether this process is the one that speaks."""
    return _place().is_first


def reject_in_group(command: str) -> None:
    """
    Raises:
        UserError: several processes carry out a command that is one process's work; the others end without a word.
    """
    process_info = _place()
    if process_info.world_size == 1:
        return
    if not process_info.is_first:
        raise SystemExit(UserError.exit_code)
    raise UserError(
        f"`{command}` is the work of one process, and {process_info.starter} has started {process_info.world_size}. "
        "Call it without, or with a single process."
    )


def _place():
    from runner.distributed.process_info import ProcessInfo

    return ProcessInfo.here() if any(name in os.environ for name in SIGNS) else ProcessInfo()
