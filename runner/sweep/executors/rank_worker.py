"""A worker that reports to its sweep: ``python -m runner.sweep.executors.choose.rank_worker RUN_DIR``.

For workers that are not forked from the warm process: the ranks of a trial on several devices, and those on
    other
machines. They communicate through files in the run directory.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

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
    """
    Args:
        channel: of the first rank; None on the others.
        metric: what the sweep searches by; the task's monitored metric when None.
    """

    def __init__(self, channel: Channel | MailboxChannel | None, metric: str | None = None) -> None:
        self.channel = channel
        self.metric = metric

    def beat(self) -> None:
        if self.channel is not None:
            self.channel.beat()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.beat()

    def on_validation_batch_end(self, *args, **kwargs) -> None:
        self.beat()

    def on_test_batch_end(self, *args, **kwargs) -> None:
        self.beat()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        metric = self.metric or pl_module.monitor
        value = trainer.callback_metrics.get(metric)
        if value is None:
            return
        epoch = trainer.current_epoch + 1
        lags = self.channel.report(epoch, float(value)) if self.channel is not None else False
        if trainer.strategy.broadcast(lags):  # on every rank, or on none
            shown = f"{float(value):.4g}" if math.isfinite(value) else str(float(value))
            raise Pruned(f"pruned after epoch {epoch}: {metric} {shown} is worse than in the other trials")


def main(argv: list[str] | None = None) -> int:
    """Returns 0 also if the sweep ended the trial: the status records it, and the elastic agent must not
    restart it.
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
