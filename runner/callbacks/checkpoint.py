"""When checkpoints are written, and which are kept."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import pytorch_lightning as pl
from annotated_types import Ge, Gt
from pytorch_lightning.trainer.states import TrainerFn

from runner.callbacks import lightning_internals
from runner.callbacks.checkpoint_io import RunCheckpointIO, snapshot
from runner.callbacks.checkpoint_store import CheckpointStore, check_folder, free_path, timeline
from runner.distributed.collectives import barrier
from runner.errors import UserError
from runner.run.checkpoints import Checkpoint, best_checkpoint, last_checkpoint, sort_by_metric

__all__ = ["UNITS", "Checkpoint", "Checkpointer", "best_checkpoint", "last_checkpoint", "parse_cadence"]

UNITS = {
    "steps": ("step", "steps"),
    "minutes": ("min", "mins", "minute", "minutes"),
    "epochs": ("epoch", "epochs"),
}
PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[_-]?\s*([a-z]+)\s*")


def parse_cadence(words: str | Sequence[str]) -> dict[str, float | int]:
    """``"500 steps"`` to ``{"steps": 500}``; several are all kept to.

    Raises:
        UserError: it is none of these, or two of a kind.
    """
    found: dict[str, float | int] = {}
    for word in [words] if isinstance(words, str) else words:
        match = PATTERN.fullmatch(str(word).lower())
        unit = next((unit for unit, names in UNITS.items() if match and match.group(2) in names), None)
        number = float(match.group(1)) if unit else 0.0
        whole = unit == "minutes" or number.is_integer()
        if unit is None or number <= 0 or not whole:
            raise UserError(
                f"every={word!r}: expected a whole number of steps or epochs, or minutes: '500 steps', '10 "
                "minutes', "
                "'2 epochs', or a list of these."
            )
        if unit in found:
            raise UserError(f"every={list(words)!r}: {unit} stand there twice; give one of them.")
        found[unit] = number if unit == "minutes" else int(number)
    return found


class Checkpointer(pl.Callback):
    """Saves the whole state at step boundaries, where nothing is in flight.

    A checkpoint "of an epoch" is written when its validation, its metrics and its schedules are done with,
    just before the next epoch's first batch. ``Recovery`` must be among the trainer's callbacks.

    Args:
        every: how often, in words: ``500 steps``, ``10 minutes``, ``2 epochs``, or a list of these; instead
            of the next three.
        every_n_epochs: a checkpoint at the end of each n-th epoch. The best and the last one are always
            saved.
        every_n_steps: and after each n-th optimizer update.
        every_minutes: and when so much time has passed since the last.
        keep_best: how many of the best by the task's monitored metric are kept.
        keep_last: how many of the newest are kept; the second takes over when the newest is damaged.
        asynchronous: the state is copied at the step boundary and written while training continues.
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
                "every stands beside every_n_epochs, every_n_steps or every_minutes; give one of the two."
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
        """Before any work: the folder can be written and has room.

        Raises:
            CheckpointError: it cannot, or has none, or holds the checkpoints of a run that is not being
                resumed.
        """
        self.folder = Path(trainer.default_root_dir) / "checkpoints"
        self._store, self._measured = None, False
        if trainer.fast_dev_run:
            return
        size = 3 * sum(p.numel() * p.element_size() for p in pl_module.parameters())  # Adam keeps two more
        if trainer.is_global_zero:
            check_folder(self.folder, size * 2)
        entries = timeline(self.folder, trainer.ckpt_path)
        barrier()  # every rank has read the list before the first one shortens it
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
    ) -> str | None:
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
        value, ranked = self._value(trainer, pl_module), sort_by_metric(self._store.entries)
        if value is None or not ranked:
            return value is not None
        return value > ranked[0].value if pl_module.mode == "max" else value < ranked[0].value

    def _value(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> float | None:
        """The monitored metric, if it was measured on the present weights and is a number."""
        value = trainer.callback_metrics.get(getattr(pl_module, "monitor", None)) if self._measured else None
        return None if value is None or not math.isfinite(value) else float(value)

    def save(self, trainer: pl.Trainer, kind: str) -> Path:
        """Writes a checkpoint of this moment, or begins to, and lets go of those that are no longer kept.

        Raises:
            CheckpointError: it, or the one before, cannot be written; what was there before stays.
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
        """Takes the state; what is returned writes it. A strategy that writes by itself has done so
        already.
        """
        io = trainer.strategy.checkpoint_io
        if not isinstance(io, RunCheckpointIO):
            trainer.save_checkpoint(path)
            return None
        io.hold, io.held = True, None
        try:
            trainer.save_checkpoint(path)
        finally:
            io.hold = False
        if io.held is None:
            return None
        (checkpoint, path), io.held = io.held, None
        if self.asynchronous:
            checkpoint = snapshot(checkpoint)

        def write() -> str:
            io.write(checkpoint, path)
            return io.digests[path.name]

        return write

    def save_now(self, trainer: pl.Trainer) -> Path:
        """The checkpoint of this very moment, on the disk: a new one, unless it is there already."""
        if self._store is None:
            return self.folder
        if lightning_internals.position_of(trainer) != self._saved_at or not self._store.entries:
            self.save(trainer, "interrupt")
        self._store.finish()
        return self._store.entries[-1].path


def monitors_training(task: pl.LightningModule) -> bool:
    """Whether the monitored metric is one of the training split, which is measured at the end of an epoch."""
    return str(getattr(task, "monitor", None)).startswith("train/")
