"""Checks before training that there are samples, features and steps, and validation where it is needed."""

from __future__ import annotations

import math
from typing import Any

from runner.config.checks.values import is_number
from runner.config.monitor import scheduler_node
from runner.data.base import DataModule
from runner.errors import UserError

__all__ = ["check_batch_counts", "loader_length"]


def check_batch_counts(data: DataModule, config: dict[str, Any]) -> None:
    """Checks that training, validation and test get the batches that the config relies on.

    Args:
        data: the data module after ``setup``, with its rank and class balance.
        config: the resolved config.

    Raises:
        UserError: a split has no sample or no batch, an input has no feature, or validation would never run.
    """
    check_features(data)
    trainer = config.get("trainer") or {}
    batches = used_batches(data, trainer, "train")
    if (config.get("debug") or {}).get("kind") == "find_lr":
        return
    used_batches(data, trainer, "test")
    val_batches = used_batches(data, trainer, "val")
    if val_batches:
        check_validation_interval(trainer, batches)
    else:
        check_monitor(config, has_split=bool(num_samples(data, "val")))


def check_features(data: DataModule) -> None:
    shape = () if data.facts is None else tuple(data.facts.input_shape or ())
    if any(size == 0 for size in shape):
        raise UserError(
            f"the inputs of {name_of(data)} have shape {shape}, which holds no values: there are no "
            "features to train on. Check the data and the settings that select its features."
        )


def num_samples(data: DataModule, split: str) -> int:
    return len(data.splits.get(split, ()))


def loader_length(data: DataModule, split: str) -> int | None:
    """Returns the number of batches in one epoch of a split; None if the loader has no length."""
    loader = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}[
        split
    ]()
    try:
        return len(loader)
    except TypeError:
        return None


def used_batches(data: DataModule, trainer: dict[str, Any], split: str) -> int | None:
    """Returns the number of batches per epoch that the trainer uses; None if unknown.

    Raises:
        UserError: a split that has or needs samples yields no batch.
    """
    count = num_samples(data, split)
    if not count:
        if split == "train":
            raise UserError(f"{name_of(data)} has no training samples. Check the data and how it is split.")
        return 0
    batches = loader_length(data, split)
    if batches is None:
        return None
    if batches == 0:
        raise UserError(no_batch(data, split, count))
    key = f"limit_{split}_batches"
    limit = trainer.get(key)
    if limit is None or not is_number(limit):
        return batches
    used = int(batches * limit) if isinstance(limit, float) else min(int(limit), batches)
    if used == 0 and (split == "train" or limit):
        raise UserError(
            f"trainer.{key}={limit} leaves no batch: the {split} split has {batches} batches of "
            f"{batch_size(data, split)}. Give at least {least_share(batches):g}, or a whole number of "
            "batches."
        )
    return used


def no_batch(data: DataModule, split: str, count: int) -> str:
    size = batch_size(data, split)
    if split == "train" and data.drop_last and count < size:
        return (
            f"data.drop_last=true with data.batch_size={size} leaves no batch: the training split has "
            f"{count} samples, fewer than one batch. Give data.batch_size={count} or less, or "
            "data.drop_last=false."
        )
    return (
        f"the {split} split of {name_of(data)} has {count} samples, but not one batch of {size}. Give a "
        "smaller batch size, or more data."
    )


def least_share(batches: int) -> float:
    """Returns the smallest fraction that leaves one batch, rounded to two digits, or more if necessary."""
    digits = 2
    while True:
        share = math.ceil(10**digits / batches) / 10**digits
        if int(batches * share) > 0:
            return share
        digits += 1


def check_validation_interval(trainer: dict[str, Any], batches: int | None) -> None:
    """Checks that validation takes place during the training.

    Raises:
        UserError: the trainer would fail or never validate.
    """
    every, epochs = trainer.get("check_val_every_n_epoch", 1), num_epochs(trainer, batches)
    if every is not None and epochs is not None and every > epochs:
        raise UserError(
            f"trainer.check_val_every_n_epoch={every}: the whole training has {epochs} epochs, so validation "
            f"would never run. Give {epochs} or less, or turn validation off with "
            "trainer.limit_val_batches=0."
        )
    interval = trainer.get("val_check_interval")
    if batches is None or not isinstance(interval, int) or isinstance(interval, bool):
        return
    every_epoch = every is not None
    if every_epoch and interval > batches:
        raise UserError(
            f"trainer.val_check_interval={interval}: an epoch has {batches} batches. Give {batches} or "
            "less, or count batches across epochs with trainer.check_val_every_n_epoch=null."
        )
    total = total_batches(trainer, batches)
    if not every_epoch and total is not None and interval > total:
        raise UserError(
            f"trainer.val_check_interval={interval}: the whole training has {total} batches, so validation "
            f"would never run. Give {total} or less."
        )


def num_epochs(trainer: dict[str, Any], batches: int | None) -> int | None:
    """Returns the number of epochs of the whole run, the last perhaps incomplete; None if unknown."""
    total = None if batches is None else total_batches(trainer, batches)
    return None if total is None or not batches else math.ceil(total / batches)


def total_batches(trainer: dict[str, Any], batches: int) -> int | None:
    """Returns the number of training batches in the whole run; None if only a time limit ends it."""
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps")
    ends: list[int] = []
    if isinstance(epochs, int) and epochs > 0:
        ends.append(epochs * batches)
    if isinstance(steps, int) and steps > 0:
        ends.append(steps * (trainer.get("accumulate_grad_batches") or 1))
    return min(ends, default=None)


def check_monitor(config: dict[str, Any], has_split: bool) -> None:
    """Checks that no setting needs validation metrics when there is no validation.

    Raises:
        UserError: a setting needs a validation metric that is never computed.
    """
    reason = (
        "trainer.limit_val_batches=0 turns validation off" if has_split else "there are no validation samples"
    )
    needs = []
    monitor = str((config.get("task") or {}).get("monitor") or "val/")
    if (config.get("regularization") or {}).get("early_stopping") and monitor.startswith("val/"):
        needs.append("regularization.early_stopping")
    monitor = str((scheduler_node(config) or {}).get("monitor") or "")
    if monitor.startswith("val/"):
        needs.append(f"scheduler.monitor={monitor}")
    if needs:
        raise UserError(
            f"{' and '.join(needs)} cannot work, since {reason}. Validate, or choose settings that need no "
            "validation metric."
        )


def batch_size(data: DataModule, split: str) -> int:
    return data.batch_size if split == "train" else data.eval_batch_size


def name_of(data: DataModule) -> str:
    return data.facts.name if data.facts is not None else type(data).__name__
