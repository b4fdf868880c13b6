"""When a checkpoint is written, and which are kept."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated

import pytorch_lightning as pl
from annotated_types import Ge, Gt
from pytorch_lightning.trainer.states import TrainerFn

from runner.callbacks import loop
from runner.callbacks.checkpoint_folder import check_folder, free_path, timeline
from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.ranks.exchange import barrier
from runner.run.checkpoints import (
    PATTERN,
    Saved,
    best_checkpoint,
    file_digest,
    last_checkpoint,
    rank,
    write_index,
)

__all__ = ["Checkpointer", "Saved", "best_checkpoint", "last_checkpoint"]


class Checkpointer(pl.Callback):
    """Saves the whole state at step boundaries, where nothing is in flight.

    A checkpoint "of an epoch" is written when its validation, its metrics and its schedules are done with, just
    before the next epoch's first batch. ``Recovery`` must be among the trainer's callbacks.

    Args:
        every_n_epochs: a checkpoint at the end of each n-th epoch. The best and the last one are always saved.
        every_n_steps: and after each n-th optimizer update.
        every_minutes: and when so much time has passed since the last.
        keep_best: how many of the best by the task's monitored metric are kept.
        keep_last: how many of the newest are kept; the second takes over when the newest is damaged.
    """

    def __init__(
        self,
        every_n_epochs: Annotated[int, Gt(0)] = 1,
        every_n_steps: Annotated[int, Gt(0)] | None = None,
        every_minutes: Annotated[float, Gt(0)] | None = None,
        keep_best: Annotated[int, Ge(0)] = 1,
        keep_last: Annotated[int, Ge(1)] = 2,
    ):
        self.every_n_epochs = every_n_epochs
        self.every_n_steps = every_n_steps
        self.every_minutes = every_minutes
        self.keep_best = keep_best
        self.keep_last = keep_last
        self.folder = Path()
        self._saved_at: loop.Position | None = None
        self._saved_time = 0.0
        self._entries: list[Saved] = []
        self._measured = False
        self._writes = True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before any work: the folder can be written and has room.

        Raises:
            CheckpointError: it cannot, or has none, or holds the checkpoints of a run that is not being resumed.
        """
        self.folder = Path(trainer.default_root_dir) / "checkpoints"
        self._measured = False
        self._writes = trainer.is_global_zero
        if trainer.fast_dev_run:
            return
        size = 3 * sum(p.numel() * p.element_size() for p in pl_module.parameters())  # Adam keeps two more
        if self._writes:
            check_folder(self.folder, size * 2)
        self._entries = timeline(self.folder, trainer.ckpt_path)
        barrier()  # every rank has read the list before the first one shortens it
        self._keep(self._entries)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved_at = loop.position_of(trainer)
        self._saved_time = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._measured = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking

    def on_step_boundary(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        position = loop.position_of(trainer)
        if position.batch and not (self._measured or self.every_n_steps or self.every_minutes):
            return
        if (self._measured or position != self._saved_at) and loop.between_updates(trainer):
            kind = self._due(trainer, pl_module, position)
            if kind is not None:
                self.save(trainer, kind)
        self._measured = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if loop.position_of(trainer) != self._saved_at:
            self.save(trainer, "epoch")

    def _due(self, trainer: pl.Trainer, pl_module: pl.LightningModule, position: loop.Position) -> str | None:
        if position.batch == 0 and position.epoch % self.every_n_epochs == 0:
            return "epoch"
        if self._measured and self.keep_best and self._is_better(trainer, pl_module):
            return "epoch" if position.batch == 0 else "validation"
        if self.every_n_steps and trainer.global_step and trainer.global_step % self.every_n_steps == 0:
            return "step"
        if self.every_minutes:
            late = time.monotonic() - self._saved_time >= 60 * self.every_minutes
            return "step" if trainer.strategy.reduce_boolean_decision(late, all=False) else None
        return None

    def _is_better(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
        value, ranked = self._value(trainer, pl_module), rank(self._entries)
        if value is None or not ranked:
            return value is not None
        return value > ranked[0].value if pl_module.mode == "max" else value < ranked[0].value

    def _value(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> float | None:
        """The monitored metric, if it was measured on the present weights and is a number."""
        value = trainer.callback_metrics.get(getattr(pl_module, "monitor", None)) if self._measured else None
        return None if value is None or not math.isfinite(value) else float(value)

    def save(self, trainer: pl.Trainer, kind: str) -> Path:
        """Writes a checkpoint of this moment and lets go of those that are no longer kept.

        Raises:
            CheckpointError: it cannot be written; what was there before stays.
        """
        if trainer.fast_dev_run:
            return self.folder
        module, position = trainer.lightning_module, loop.position_of(trainer)
        path = free_path(self.folder, trainer.global_step)
        trainer.save_checkpoint(path)
        self._saved_at, self._saved_time = position, time.monotonic()
        entry = Saved(
            file=path.name,
            step=trainer.global_step,
            epoch=max(0, position.epoch - (position.batch == 0)),
            kind=kind,
            sha256=self._digest(trainer, path),
            monitor=getattr(module, "monitor", None),
            mode=getattr(module, "mode", "min"),
            value=self._value(trainer, module),
            folder=str(self.folder),
        )
        self._keep([*self._entries, entry])
        return path

    def _digest(self, trainer: pl.Trainer, path: Path) -> str:
        if not self._writes:
            return ""
        io = trainer.strategy.checkpoint_io
        return io.digests[path.name] if isinstance(io, RunCheckpointIO) else file_digest(path)

    def save_now(self, trainer: pl.Trainer) -> Path:
        """The checkpoint of this very moment: a new one, unless it is on the disk already."""
        if loop.position_of(trainer) == self._saved_at and self._entries:
            return self._entries[-1].path
        return self.save(trainer, "interrupt")

    def _keep(self, entries: list[Saved]) -> None:
        """Lists what is kept, then removes every other file: in this order, for the process may end between.

        Every rank keeps the list, for all must come to the same decisions; the first one writes it.
        """
        kept = {*rank(entries)[: self.keep_best], *entries[-self.keep_last :]}
        self._entries = [entry for entry in entries if entry in kept]
        if not self._writes:
            return
        write_index(self.folder, self._entries)
        listed = {entry.file for entry in self._entries}
        for path in self.folder.glob(PATTERN):
            if path.name not in listed:
                path.unlink()
