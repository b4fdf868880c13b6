"""Handles commands that torchrun or srun starts in several processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from runner.errors import UserError

if TYPE_CHECKING:
    from runner.distributed.process_info import ProcessInfo

__all__ = ["in_group", "is_first", "reject_in_group"]

SIGNS = ("TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS", "MASTER_PORT")


def is_first() -> bool:
    """Return whether this is the first process, which prints the output."""
    return _process_info().is_first


def reject_in_group(command: str) -> None:
    """Reject a command that does not support several processes. All but the first process exit silently.

    Raises:
        UserError: several processes were started.
    """
    process_info = _process_info()
    if process_info.world_size == 1:
        return
    if not process_info.is_first:
        raise SystemExit(UserError.exit_code)
    raise UserError(
        f"`{command}` runs in a single process, but {process_info.starter} started "
        f"{process_info.world_size}. Run it directly, or with a single process."
    )


def in_group() -> bool:
    """Return whether torchrun or srun may have started this process."""
    return any(name in os.environ for name in SIGNS)


def _process_info() -> ProcessInfo:
    from runner.distributed.process_info import ProcessInfo

    return ProcessInfo.here() if in_group() else ProcessInfo()
