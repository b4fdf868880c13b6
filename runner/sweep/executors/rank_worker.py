"""A worker that reports to its sweep: ``python -m runner.sweep.executors.rank_worker RUN_DIR``.

For workers that are not forked from the fork server: the ranks under an elastic agent, and trials on other
machines. They communicate through files in the run directory.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.errors import Pruned
from runner.launch.rank_worker import exit_code_of
from runner.run.directory import RunDir
from runner.sweep.executors.file_channel import MailboxChannel, read_attempt
from runner.sweep.executors.socket_channel import Channel
from runner.training.worker import execute

__all__ = ["Reporter", "main"]


class Reporter(pl.Callback):
    """Reports heartbeats and the objective to the sweep, and ends the trial if it is pruned.

    Args:
        channel: channel to the sweep of the first rank; None on the others.
        metric: the objective; None for the task's monitored metric.
    """

    def __init__(self, channel: Channel | MailboxChannel | None, metric: str | None = None) -> None:
        self.channel = channel
        self.metric = metric

    def beat(self) -> None:
        """Send a heartbeat."""
        if self.channel is not None:
            self.channel.beat()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.beat()

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.beat()

    def on_test_batch_end(self, *args: Any, **kwargs: Any) -> None:
        self.beat()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        metric = self.metric or str(pl_module.monitor)
        value = trainer.callback_metrics.get(metric)
        if value is None:
            return
        epoch = trainer.current_epoch + 1
        is_pruned = self.channel.report(epoch, float(value)) if self.channel is not None else False
        if trainer.strategy.broadcast(is_pruned):  # all ranks must end together
            text = f"{float(value):.4g}" if math.isfinite(value) else str(float(value))
            raise Pruned(f"pruned after epoch {epoch}: {metric} {text} is worse than in the other trials")


def main(argv: list[str] | None = None) -> int:
    """Execute the run directory named by the only argument as one of its ranks.

    Returns:
        The exit code; 0 also for a pruned trial, because the elastic agent would restart it otherwise.
    """
    (path,) = sys.argv[1:] if argv is None else argv
    run, process_info = RunDir(Path(path).absolute()), ProcessInfo.here()
    attempt = read_attempt(run.path)
    torch.set_num_threads(attempt.num_threads)
    channel = MailboxChannel(run.path, attempt.prunes) if process_info.is_first else None

    def work() -> None:
        with process_group_member(run, process_info):
            try:
                execute(run, [Reporter(channel, attempt.metric)])
            except Pruned as pruned:
                print(pruned, file=sys.stderr)

    return exit_code_of(work)


if __name__ == "__main__":
    sys.exit(main())
