"""How far a training run is, and how long it still takes."""

from __future__ import annotations

import math

from pytorch_lightning import Trainer

__all__ = ["TimeLeft", "batches_left", "fraction_done", "validations_left"]


class TimeLeft:
    """Means of what this attempt has measured: training batches and whole validations are timed apart.

    A validation that has not been seen yet is left out, so the first epoch's estimate is too short by it.
    """

    def __init__(self) -> None:
        self._train_s = 0.0
        self._batches = 0
        self._validation_s = 0.0
        self._validations = 0

    def add_training(self, seconds: float, batches: int) -> None:
        self._train_s += seconds
        self._batches += batches

    def add_validation(self, seconds: float) -> None:
        self._validation_s += seconds
        self._validations += 1

    def estimate_s(
        self, trainer: Trainer, batch: int, train_s: float = 0.0, train_batches: int = 0
    ) -> float | None:
        """Seconds to the end of the training; None before the first batch, or when no end is known.

        Args:
            batch: batches of the present epoch that are done.
            train_s, train_batches: time and batches of the present epoch, which are not added yet.
        """
        seen, left = self._batches + train_batches, batches_left(trainer, batch)
        if seen == 0 or left is None:
            return None
        a_batch = (self._train_s + train_s) / seen
        a_validation = self._validation_s / self._validations if self._validations else 0.0
        return a_batch * left + a_validation * validations_left(trainer, left)


def batches_left(trainer: Trainer, batch: int) -> float | None:
    """Training batches of the whole run still to do; None when the run has no end that is known."""
    an_epoch, epochs, steps = trainer.num_training_batches, trainer.max_epochs, trainer.max_steps
    left = []
    if epochs and epochs > 0 and math.isfinite(an_epoch):
        left.append(max((epochs - trainer.current_epoch) * an_epoch - batch, 0))
    if steps and steps > 0:
        left.append(max(steps - trainer.global_step, 0) * trainer.accumulate_grad_batches)
    return min(left) if left else None


def validations_left(trainer: Trainer, batches: float) -> int:
    """The number of validations within the next training batches."""
    if not trainer.enable_validation:
        return 0
    interval = trainer.num_training_batches * (trainer.check_val_every_n_epoch or 1)
    within_epoch = trainer.val_check_batch
    if isinstance(within_epoch, int) and 0 < within_epoch < trainer.num_training_batches:
        interval = within_epoch
    return math.ceil(batches / interval)


def fraction_done(trainer: Trainer, batch: int) -> float | None:
    """Share of the whole run's batches; None when the run has no end that is known."""
    left = batches_left(trainer, batch)
    done = trainer.current_epoch * trainer.num_training_batches + batch
    return done / max(done + left, 1) if left is not None and math.isfinite(done) else None
