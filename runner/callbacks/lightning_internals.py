"""Where a training stands, and how it is put there again: all that is known of Lightning's inner loops.

Lightning (2.6) offers no hook between a batch that is wholly done, its metrics written and validation over,
and the fetching of the next. That is the one moment when nothing is in flight: a checkpoint written in
``on_train_batch_end`` loses the metrics of that batch, one written at an epoch's last batch leaves the
counters off by one. So the loop's own call before a fetch is widened; callbacks with a method
``on_step_boundary(trainer, pl_module)`` are called there, in their order.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pytorch_lightning import LightningModule, Trainer

from runner.data.sampler import EpochBatchSampler

__all__ = [
    "Position",
    "announce_boundaries",
    "begin_afresh",
    "between_updates",
    "hide_validation",
    "is_over",
    "modules_in_eval",
    "order_of",
    "place_loaders",
    "position_of",
    "set_modules_in_eval",
    "settle_counters",
    "train_samplers",
    "validate_between_updates",
]

VAL_PROGRESS = "epoch_loop.val_loop.batch_progress"


class Position(NamedTuple):
    """How far a training has come.

    Attributes:
        epoch: epochs done.
        batch: batches of the present epoch done.
    """

    epoch: int = 0
    batch: int = 0


def position_of(trainer: Trainer) -> Position:
    """At a step boundary, in a validation, or when the training has ended."""
    epochs = trainer.fit_loop.epoch_progress.current
    in_epoch = epochs.ready > epochs.processed
    batch = trainer.fit_loop.epoch_loop.batch_progress.current.completed if in_epoch else 0
    return Position(epochs.processed, batch)


def is_over(trainer: Trainer) -> bool:
    """Whether no epoch is under way: the training has ended."""
    epochs = trainer.fit_loop.epoch_progress.current
    return epochs.ready == epochs.processed


def between_updates(trainer: Trainer) -> bool:
    """Whether no gradient is half accumulated."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


def announce_boundaries(trainer: Trainer, pl_module: LightningModule) -> None:
    """Makes callbacks receive every step boundary from now on. Called in ``on_train_start``."""
    loop = trainer.fit_loop.epoch_loop
    before_fetch = type(loop)._on_before_fetch
    hooks = [x.on_step_boundary for x in trainer.callbacks if hasattr(x, "on_step_boundary")]

    def boundary() -> None:
        for hook in hooks:
            hook(trainer, pl_module)
        before_fetch(loop)

    loop._on_before_fetch = boundary


def validate_between_updates(trainer: Trainer) -> None:
    """Postpones a validation that is due while gradients accumulate until their update. Called in
    ``on_train_start``.

    No checkpoint can be written within an accumulation, so its metrics could never select one.
    """
    loop = trainer.fit_loop.epoch_loop
    due_now = type(loop)._should_check_val_fx

    def due(data_fetcher: Any) -> bool:
        if trainer.should_stop and trainer.fit_loop._can_stop_early:
            return due_now(loop, data_fetcher)
        return not loop._should_accumulate() and (due_now(loop, data_fetcher) or was_due(trainer))

    loop._should_check_val_fx = due


def was_due(trainer: Trainer) -> bool:
    """Whether a validation was due at one of the batches whose gradients the newest update has
    accumulated.
    """
    loop, every = trainer.fit_loop.epoch_loop, trainer.val_check_batch
    if not loop._should_check_val_epoch() or trainer._val_check_time_interval is not None:
        return False
    if every is None or every == math.inf:
        return False
    across_epochs = trainer.check_val_every_n_epoch is None
    batches = 1 + (loop.total_batch_idx if across_epochs else loop.batch_idx)
    accumulated = 1 + loop.batch_idx % trainer.accumulate_grad_batches
    return batches // every > (batches - accumulated) // every


def train_samplers(trainer: Trainer) -> list[EpochBatchSampler]:
    """Of the train loaders, those that can be placed."""
    combined = trainer.fit_loop._combined_loader
    samplers = [getattr(loader, "batch_sampler", None) for loader in combined.flattened] if combined else []
    return [sampler for sampler in samplers if isinstance(sampler, EpochBatchSampler)]


def order_of(trainer: Trainer) -> list[dict[str, Any]]:
    """What the order of the training samples depends on, a dict a loader."""
    keys = ("num_samples", "batch_size", "seed", "shuffle", "drop_last")
    return [{key: getattr(sampler, key) for key in keys} for sampler in train_samplers(trainer)]


def place_loaders(trainer: Trainer, position: Position) -> None:
    """Restarts the train loaders' iterators after the batches that were done.

    They were made before ``on_train_start``; loader workers are reading ahead from the first epoch's start.
    """
    for sampler in train_samplers(trainer):
        sampler.set_epoch(position.epoch)
        sampler.start_batch = position.batch
    iter(trainer.fit_loop._data_fetcher)


def settle_counters(trainer: Trainer, batches_that_stepped: int, validating: bool) -> None:
    """Mends what Lightning gets wrong in restarting. Called in ``on_train_start``.

    - Plateau schedules are not stepped at the end of an epoch that was interrupted.
    - An iteration that only finds out that no validation is due counts as a batch that stepped.
    """
    trainer.fit_loop._restarting = False
    loop = trainer.fit_loop.epoch_loop
    validation_due = loop._should_check_val_fx(trainer.fit_loop._data_fetcher)
    counts_twice = loop.restarting and validation_due and not validating
    loop._batches_that_stepped = batches_that_stepped - int(counts_twice)


def begin_afresh(trainer: Trainer) -> None:
    """The next epoch is a new one; under ``max_steps`` Lightning takes it for an interrupted one."""
    trainer.fit_loop._restarting = False
    trainer.fit_loop.epoch_loop.restarting = False


def hide_validation(checkpoint: dict[str, Any]) -> None:
    """Makes a checkpoint written during a validation one that has that validation still before it."""
    nothing = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
    checkpoint["loops"]["fit_loop"][VAL_PROGRESS] = {
        "total": {**nothing, "ready": 1, "started": 1},  # so Lightning knows a validation that did not end
        "current": nothing,
        "is_last_batch": False,
    }


def modules_in_eval(trainer: Trainer, pl_module: LightningModule) -> list[str]:
    """Names of the modules that do not train (frozen batch norms), also when asked during a validation."""
    captured = trainer.fit_loop.epoch_loop.val_loop._module_mode.mode
    if trainer.validating and captured:
        return [name for name, training in captured.items() if not training]
    return [name for name, module in pl_module.named_modules() if not module.training]


def set_modules_in_eval(pl_module: LightningModule, names: list[str]) -> None:
    still = set(names)
    for name, module in pl_module.named_modules():
        module.training = name not in still
