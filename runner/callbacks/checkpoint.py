"""Saves checkpoints during training."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytorch_lightning as pl
from annotated_types import Ge, Gt
from pytorch_lightning.trainer.states import TrainerFn

from runner.callbacks import lightning_internals
from runner.callbacks.checkpoint_io import RunCheckpointIO, snapshot
from runner.callbacks.checkpoint_store import CheckpointStore, check_folder, free_path, timeline
from runner.callbacks.lightning_internals import task_of
from runner.distributed.collectives import barrier
from runner.errors import UserError
from runner.run.checkpoints import Checkpoint, best_checkpoint, last_checkpoint, sort_by_metric

__all__ = ["UNITS", "Checkpoint", "Checkpointer", "best_checkpoint", "last_checkpoint", "parse_cadence"]

Kind = Literal["epoch", "validation", "step", "interrupt"]

UNITS = {
    "steps": ("step", "steps"),
    "minutes": ("min", "mins", "minute", "minutes"),
    "epochs": ("epoch", "epochs"),
}
PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[_-]?\s*([a-z]+)\s*")


def parse_cadence(every: str | Sequence[str]) -> dict[str, float | int]:
    """Parse how often checkpoints are saved.

    Args:
        every: ``"500 steps"``, ``"10 minutes"``, ``"2 epochs"``, or a list of these, which all apply.

    Returns:
        Number per unit, such as ``{"steps": 500}``.

    Raises:
        UserError: the text has another format, or names a unit twice.
    """
    cadence: dict[str, float | int] = {}
    for interval in [every] if isinstance(every, str) else every:
        match = PATTERN.fullmatch(str(interval).lower())
        number = float(match.group(1)) if match else 0.0
        unit = next((unit for unit, names in UNITS.items() if match and match.group(2) in names), None)
        is_valid_number = number > 0 and (unit == "minutes" or number.is_integer())
        if unit is None or not is_valid_number:
            raise UserError(
                f"every={interval!r}: expected a whole number of steps or epochs, or minutes: '500 steps', "
                "'10 minutes', '2 epochs', or a list of these."
            )
        if unit in cadence:
            raise UserError(f"every={list(every)!r} gives {unit} twice. Remove one of them.")
        cadence[unit] = number if unit == "minutes" else int(number)
    return cadence


class Checkpointer(pl.Callback):
    """Saves the complete training state at step boundaries, when no batch is in flight.

    The checkpoint of an epoch is saved after its validation, metrics and schedules, just before the first
    batch of the next epoch. The trainer must also have an ``ExactResume`` callback.

    Args:
        every: interval as text: ``500 steps``, ``10 minutes``, ``2 epochs``, or a list of these; replaces the
            next three arguments.
        every_n_epochs: save at the end of every n-th epoch. The best and the last checkpoint are always
            saved.
        every_n_steps: also save after every n-th optimizer update.
        every_minutes: also save if this much time has passed since the last checkpoint.
        keep_best: number of best checkpoints to keep, by the task's monitored metric.
        keep_last: number of newest checkpoints to keep; the second is the fallback if the newest is damaged.
        asynchronous: copy the state at the step boundary and write it while training continues.
    """

    def __init__(
        self,
        every: str | list[str] | None = None,
        every_n_epochs: Annotated[int, Gt(0)] | None = None,
        every_n_steps: Annotated[int, Gt(0)] | None = None,
        every_minutes: Annotated[float, Gt(0)] | None = None,
        keep_best: Annotated[int, Ge(0)] = 1,
        keep_last: Annotated[int, Ge(1)] = 2,
        asynchronous: bool = True,
    ) -> None:
        single = {"epochs": every_n_epochs, "steps": every_n_steps, "minutes": every_minutes}
        if every is not None and any(value is not None for value in single.values()):
            raise UserError(
                "every cannot be combined with every_n_epochs, every_n_steps or every_minutes. Remove either."
            )
        cadence = single if every is None else parse_cadence(every)
        self.every_n_epochs = cadence.get("epochs") or (1 if every is None else None)
        self.every_n_steps = cadence.get("steps")
        self.every_minutes = cadence.get("minutes")
        self.keep_best = keep_best
        self.keep_last = keep_last
        self.asynchronous = asynchronous
        self.folder = Path()
        self._store: CheckpointStore | None = None
        self._saved_at: lightning_internals.Position | None = None
        self._saved_time = 0.0
        self._measured = False

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check that the checkpoint folder is writable and has enough free space.

        Raises:
            CheckpointError: it is not writable, lacks space, or holds checkpoints of a run that is not being
                resumed.
        """
        self.folder = Path(trainer.default_root_dir) / "checkpoints"
        self._store, self._measured = None, False
        if lightning_internals.is_fast_dev_run(trainer):
            return
        # Adam keeps two tensors per parameter.
        size = 3 * sum(p.numel() * p.element_size() for p in pl_module.parameters())
        if trainer.is_global_zero:
            check_folder(self.folder, size * 2)
        entries = timeline(self.folder, trainer.ckpt_path)
        barrier()  # rank 0 must not shorten the index before every rank has read it
        self._store = CheckpointStore(
            self.folder, entries, self.keep_best, self.keep_last, trainer.is_global_zero
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved_at = lightning_internals.position_of(trainer)
        self._saved_time = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not monitors_training(pl_module):
            self._measured = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._measured = self._measured or monitors_training(pl_module)

    def on_step_boundary(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._store is None:
            return
        self._store.check()
        position = lightning_internals.position_of(trainer)
        if position.batch and not (self._measured or self.every_n_steps or self.every_minutes):
            return
        if (self._measured or position != self._saved_at) and lightning_internals.between_updates(trainer):
            kind = self._due(trainer, pl_module, position)
            if kind is not None:
                self.save(trainer, kind)
        self._measured = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._store is None:
            return
        if lightning_internals.position_of(trainer) != self._saved_at:
            self.save(trainer, "epoch")
        self._store.finish()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        if self._store is not None and not getattr(exception, "at_once", False):
            self._store.finish_quietly()

    def _due(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, position: lightning_internals.Position
    ) -> Kind | None:
        if self.every_n_epochs and position.batch == 0 and position.epoch % self.every_n_epochs == 0:
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
        value = self._value(trainer, pl_module)
        best = None if self._store is None else next(iter(sort_by_metric(self._store.entries)), None)
        if value is None or best is None or best.value is None:
            return value is not None
        return value > best.value if task_of(pl_module).mode == "max" else value < best.value

    def _value(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> float | None:
        """Return the monitored metric if it was measured with the current weights and is finite."""
        monitor = getattr(pl_module, "monitor", None)
        value = trainer.callback_metrics.get(monitor) if self._measured and monitor else None
        return None if value is None or not math.isfinite(value) else float(value)

    def save(self, trainer: pl.Trainer, kind: Kind) -> Path:
        """Save a checkpoint of the current state, or start saving it, and delete those no longer kept.

        Args:
            trainer: trainer at a step boundary.
            kind: why the checkpoint is saved.

        Returns:
            Path of the checkpoint.

        Raises:
            CheckpointError: this or the previous checkpoint cannot be written; existing files are kept.
        """
        if self._store is None:
            return self.folder
        self._store.finish()
        module, position = trainer.lightning_module, lightning_internals.position_of(trainer)
        path = free_path(self.folder, trainer.global_step)
        write = self._capture(trainer, path)
        self._saved_at, self._saved_time = position, time.monotonic()
        entry = Checkpoint(
            file=path.name,
            step=trainer.global_step,
            epoch=max(0, position.epoch - (position.batch == 0)),
            kind=kind,
            sha256="",
            monitor=getattr(module, "monitor", None),
            mode=getattr(module, "mode", "min"),
            value=self._value(trainer, module),
            folder=str(self.folder),
        )
        self._store.add(entry, write, self.asynchronous)
        return path

    def _capture(self, trainer: pl.Trainer, path: Path) -> Callable[[], str] | None:
        """Collect the state and return a function that writes it and returns its SHA-256.

        Returns None if the strategy has already written the checkpoint itself, as FSDP does.
        """
        io = trainer.strategy.checkpoint_io
        if not isinstance(io, RunCheckpointIO):
            trainer.save_checkpoint(path)
            return None
        io.defer_writing, io.deferred = True, None
        try:
            trainer.save_checkpoint(path)
        finally:
            io.defer_writing = False
        if io.deferred is None:
            return None
        (checkpoint, path), io.deferred = io.deferred, None
        if self.asynchronous:
            checkpoint = snapshot(checkpoint)

        def write() -> str:
            io.write(checkpoint, path)
            return io.digests[path.name]

        return write

    def save_now(self, trainer: pl.Trainer) -> Path:
        """Return a checkpoint of the current state that is on disk, saving one if necessary."""
        if self._store is None:
            return self.folder
        if lightning_internals.position_of(trainer) != self._saved_at or not self._store.entries:
            self.save(trainer, "interrupt")
        self._store.finish()
        return self._store.entries[-1].path


def monitors_training(task: pl.LightningModule) -> bool:
    """Return whether the monitored metric is one of the training split, measured at the end of an epoch."""
    return str(getattr(task, "monitor", None)).startswith("train/")
