"""Reads and restores the position of a training: all code that depends on Lightning's private loops.

Lightning 2.6 has no hook between the end of a batch, including its metrics and validation, and the fetching
of the next batch. This is the only moment when nothing is in flight: a checkpoint saved in
``on_train_batch_end`` lacks the metrics of that batch, and one saved at the last batch of an epoch leaves the
epoch counters off by one. Therefore the loop's private method before a fetch is wrapped: it calls the method
``on_step_boundary(trainer, pl_module)`` of all callbacks that define it, in their order.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.progress import _ProcessedTracker

from runner.data.base import DataModule
from runner.data.sampler import EpochBatchSampler
from runner.tasks.base import Task

__all__ = [
    "Position",
    "between_updates",
    "call_step_boundary_hooks",
    "callbacks_of",
    "data_module_of",
    "fix_counters",
    "hide_validation",
    "is_fast_dev_run",
    "is_over",
    "log_interval",
    "modules_in_eval",
    "order_of",
    "position_of",
    "restart_loaders",
    "set_modules_in_eval",
    "start_new_epoch",
    "task_of",
    "train_samplers",
    "validate_between_updates",
]

VAL_PROGRESS = "epoch_loop.val_loop.batch_progress"


# Attributes that Lightning 2.6 sets in connectors and does not declare in the class Trainer


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the callbacks of the trainer."""
    return trainer.callbacks  # type: ignore[attr-defined]


def data_module_of(trainer: Trainer) -> DataModule:
    """Return the data module of the trainer, which all runs have."""
    return trainer.datamodule  # type: ignore[attr-defined]


def log_interval(trainer: Trainer) -> int:
    """Return the number of steps between logged points; 0 disables logging."""
    return trainer.log_every_n_steps  # type: ignore[attr-defined]


def is_fast_dev_run(trainer: Trainer) -> bool:
    """Return whether only a few batches are run, without checkpoints."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


def task_of(pl_module: LightningModule) -> Task:
    """Return the module with the type of a task; hooks of callbacks declare the base class."""
    return cast(Task, pl_module)


class Position(NamedTuple):
    """Progress of a training.

    Attributes:
        epoch: number of completed epochs.
        batch: number of completed batches of the current epoch.
    """

    epoch: int = 0
    batch: int = 0


def position_of(trainer: Trainer) -> Position:
    """Return the position at a step boundary, in a validation, or after the end of the training."""
    epochs = cast(_ProcessedTracker, trainer.fit_loop.epoch_progress.current)
    in_epoch = epochs.ready > epochs.processed
    batch = trainer.fit_loop.epoch_loop.batch_progress.current.completed if in_epoch else 0
    return Position(epochs.processed, batch)


def is_over(trainer: Trainer) -> bool:
    """Return whether the training has ended, so that no epoch is in progress."""
    epochs = cast(_ProcessedTracker, trainer.fit_loop.epoch_progress.current)
    return epochs.ready == epochs.processed


def between_updates(trainer: Trainer) -> bool:
    """Return whether no gradients are being accumulated."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


def call_step_boundary_hooks(trainer: Trainer, pl_module: LightningModule) -> None:
    """Call ``on_step_boundary`` of the callbacks at every step boundary from now on.

    Must be called in ``on_train_start``.
    """
    loop = trainer.fit_loop.epoch_loop
    before_fetch = type(loop)._on_before_fetch
    hooks = [x.on_step_boundary for x in callbacks_of(trainer) if hasattr(x, "on_step_boundary")]

    def boundary() -> None:
        for hook in hooks:
            hook(trainer, pl_module)
        before_fetch(loop)

    loop._on_before_fetch = boundary  # type: ignore[method-assign]  # of this instance only


def validate_between_updates(trainer: Trainer) -> None:
    """Postpone validations that are due during gradient accumulation until the update.

    No checkpoint can be saved during an accumulation, so the metrics of such a validation could not select
    one. Must be called in ``on_train_start``.
    """
    loop = trainer.fit_loop.epoch_loop
    due_now = type(loop)._should_check_val_fx

    def due(data_fetcher: Any) -> bool:
        if trainer.should_stop and trainer.fit_loop._can_stop_early:
            return due_now(loop, data_fetcher)
        return not loop._should_accumulate() and (due_now(loop, data_fetcher) or was_due(trainer))

    loop._should_check_val_fx = due  # type: ignore[method-assign]  # of this instance only


def was_due(trainer: Trainer) -> bool:
    """Return whether a validation was due at one of the batches accumulated by the latest update."""
    loop, every = trainer.fit_loop.epoch_loop, trainer.val_check_batch
    by_time = trainer._val_check_time_interval is not None  # type: ignore[attr-defined]  # not declared
    if not loop._should_check_val_epoch() or by_time:
        return False
    if every is None or every == math.inf:
        return False
    across_epochs = trainer.check_val_every_n_epoch is None
    batches = 1 + (loop.total_batch_idx if across_epochs else loop.batch_idx)
    accumulated = 1 + loop.batch_idx % trainer.accumulate_grad_batches
    return batches // every > (batches - accumulated) // every


def train_samplers(trainer: Trainer) -> list[EpochBatchSampler]:
    """Return the batch samplers of the train loaders that can start at any batch."""
    combined = trainer.fit_loop._combined_loader
    samplers = [getattr(loader, "batch_sampler", None) for loader in combined.flattened] if combined else []
    return [sampler for sampler in samplers if isinstance(sampler, EpochBatchSampler)]


def order_of(trainer: Trainer) -> list[dict[str, Any]]:
    """Return the settings that determine the order of the training samples, one dict per loader."""
    keys = ("num_samples", "batch_size", "seed", "shuffle", "drop_last")
    return [{key: getattr(sampler, key) for key in keys} for sampler in train_samplers(trainer)]


def restart_loaders(trainer: Trainer, position: Position) -> None:
    """Restart the iterators of the train loaders after the completed batches.

    Lightning creates the iterators before ``on_train_start``, when loader workers already prefetch from the
    start of the first epoch.
    """
    for sampler in train_samplers(trainer):
        sampler.set_epoch(position.epoch)
        sampler.start_batch = position.batch
    iter(_data_fetcher(trainer))


def fix_counters(trainer: Trainer, batches_that_stepped: int, validating: bool) -> None:
    """Correct counters that Lightning 2.6 restores wrongly. Must be called in ``on_train_start``.

    - Plateau schedules are not stepped at the end of an interrupted epoch.
    - The first iteration after a restart, if it only skips a validation, is counted as a batch that stepped.

    Args:
        trainer: trainer at the start of a resumed training.
        batches_that_stepped: the counter when the checkpoint was saved.
        validating: whether the checkpoint was saved within a validation.
    """
    trainer.fit_loop._restarting = False
    loop = trainer.fit_loop.epoch_loop
    validation_due = loop._should_check_val_fx(_data_fetcher(trainer))
    counts_twice = loop.restarting and validation_due and not validating
    loop._batches_that_stepped = batches_that_stepped - int(counts_twice)


def _data_fetcher(trainer: Trainer) -> _DataFetcher:
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None  # created by FitLoop.setup_data, before on_train_start
    return fetcher


def start_new_epoch(trainer: Trainer) -> None:
    """Make the next epoch a new one; under ``max_steps`` Lightning 2.6 would treat it as interrupted."""
    trainer.fit_loop._restarting = False
    trainer.fit_loop.epoch_loop.restarting = False


def hide_validation(checkpoint: dict[str, Any]) -> None:
    """Change a checkpoint saved within a validation so that a resumed training repeats that validation."""
    zero = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
    checkpoint["loops"]["fit_loop"][VAL_PROGRESS] = {
        "total": {**zero, "ready": 1, "started": 1},  # this is how Lightning marks an unfinished validation
        "current": zero,
        "is_last_batch": False,
    }


def modules_in_eval(trainer: Trainer, pl_module: LightningModule) -> list[str]:
    """Return the names of the modules in evaluation mode during training, such as frozen batch norms.

    Within a validation, this returns the modes before it.
    """
    modes = trainer.fit_loop.epoch_loop.val_loop._module_mode.mode
    if trainer.validating and modes:
        return [name for name, training in modes.items() if not training]
    return [name for name, module in pl_module.named_modules() if not module.training]


def set_modules_in_eval(pl_module: LightningModule, names: list[str]) -> None:
    """Set the named modules to evaluation mode and all others to training mode."""
    in_eval = set(names)
    for name, module in pl_module.named_modules():
        module.training = name not in in_eval
