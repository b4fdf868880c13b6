"""Executes a run directory.

The worker uses only the directory: it neither sees the original command line nor composes a config.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback

from runner.callbacks.preemption import interruptible
from runner.config.schema import Launcher
from runner.data.base import DataModule
from runner.distributed.collectives import barrier
from runner.distributed.heartbeat import Heartbeat
from runner.distributed.load_errors import describe_unloadable
from runner.distributed.process_info import ProcessInfo
from runner.distributed.watchdog import watched
from runner.errors import NonFiniteLossError, RollBack
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.format import read_stored_config
from runner.run.journal import add_rollback, read_rollbacks
from runner.training.execution import Execution
from runner.training.learning_rate import rollback_factor
from runner.training.recording import StartMirror, log_file, recorded

__all__ = ["execute"]

log = logging.getLogger("runner.training.worker")


def execute(
    run: RunDir | str | Path,
    callbacks: Sequence[Callback] = (),
    mirror: StartMirror | None = None,
    data: DataModule | None = None,
) -> dict[str, Any]:
    """Trains the run, resuming an earlier attempt if there was one, and evaluates the best checkpoint.

    Under an elastic agent this process is one of several ranks; rank 0 writes to the directory.

    Args:
        run: the run directory.
        callbacks: additional callbacks that are not in the config.
        mirror: starts the tracking mirror of the run, such as ``runner.tracking.start``; None for no mirror.
        data: the config's data module, if it is already set up.

    Returns:
        The run's results, as in ``results.json``.

    Raises:
        RunnerError: the run failed. The status on disk contains the same reason.
        ControlSignal: the run was interrupted or pruned.
    """
    run = run if isinstance(run, RunDir) else RunDir(Path(run).absolute())
    config = read_stored_config(run.config_path)
    process_info = ProcessInfo.here()
    with watched(run, process_info, Launcher(**config.launcher).hang_after_s) as heartbeat:
        if not process_info.is_first:
            with interruptible(), log_file(run, process_info):
                return run_attempts(run, callbacks, process_info, heartbeat, data)
        with recorded(run, config, mirror, heartbeat), interruptible(), log_file(run, process_info):
            return run_attempts(run, callbacks, process_info, heartbeat, data)


def run_attempts(
    run: RunDir,
    callbacks: Sequence[Callback],
    process_info: ProcessInfo,
    heartbeat: Heartbeat,
    data: DataModule | None,
) -> dict[str, Any]:
    """Repeats the training after each rollback until it finishes."""
    while True:
        try:
            return Execution(
                run, read_stored_config(run.config_path), callbacks, process_info, heartbeat, data
            ).results()
        except RollBack as error:
            data = None
            roll_back(run, error, process_info)


def roll_back(run: RunDir, error: RollBack, process_info: ProcessInfo) -> None:
    """Records that the run resumes from its last good checkpoint with a lower learning rate.

    Raises:
        NonFiniteLossError: the limit of rollbacks is reached.
    """
    times = len(read_rollbacks(run))
    if times >= error.most:
        raise NonFiniteLossError(f"{error} The run went back {times} times already (guard.most).") from None
    target = last_checkpoint(run, describe_unloadable)
    barrier()  # all ranks must count before rank 0 adds a rollback
    if process_info.is_first:
        add_rollback(run, str(error), None if target is None else target.file, error.lr_factor)
        start = "the beginning" if target is None else f"{target.file} (step {target.step})"
        factor = rollback_factor(run)
        log.warning("%s Resuming from %s with %g times the learning rate.", error, start, factor)
    barrier()
