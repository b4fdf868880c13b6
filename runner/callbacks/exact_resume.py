"""Exact resume: an interrupted training continues bit for bit as if it had not been interrupted."""

from __future__ import annotations

import logging
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn

from runner.callbacks import lightning_internals
from runner.callbacks.metrics_logger import JournalLogger
from runner.callbacks.random_state import get_random_state, set_random_state
from runner.data.sampler import seed_of
from runner.distributed.collectives import all_gather
from runner.distributed.fsdp_checkpoint import read_rest
from runner.errors import UserError
from runner.run.journal import Journal
from runner.run.migrations import migrate_checkpoint

__all__ = ["ExactResume", "config_of"]

KEY = "recovery"
"""Entry of a checkpoint; part of the format."""

log = logging.getLogger("runner.recovery")


class ExactResume(pl.Callback):
    """Adds the state that Lightning 2.6 omits to every checkpoint, and restores it.

    This comprises the random states, the position in the train loader, the modules in evaluation mode, the
    latest validation metrics, the decision of early stopping, the length of the journal, and the config.
    Metrics written after the checkpoint are removed from the journal; the resumed run writes them again.

    Args:
        config: config of the run in plain containers, stored in every checkpoint.
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self._config = config
        self._loaded: dict[str, Any] | None = None
        self._before_validation: dict[str, Any] | None = None
        self._random_due = False
        self._rank = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._loaded = self._before_validation = None
        self._random_due = False
        self._rank = trainer.global_rank

    # Saving

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._restore_random(self._loaded is not None and self._loaded["validating"])
            self._before_validation = describe(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state; a checkpoint saved within a validation stores the state before that validation."""
        if (journal := journal_of(trainer)) is not None:
            journal.flush(durable=True)
        if trainer.validating and self._before_validation is not None:
            lightning_internals.hide_validation(checkpoint)
            checkpoint[KEY] = self._before_validation
        else:
            checkpoint[KEY] = describe(trainer, pl_module)
        checkpoint[KEY]["config"] = self._config

    # Restoring

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            self._loaded = checkpoint.get(KEY)
            if self._loaded is None:
                log.warning(
                    "This checkpoint was not written by runner: training resumes, but not bit for bit."
                )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if (journal := journal_of(trainer)) is not None:
            truncate(journal, (self._loaded or {}).get("journal") or 0)
        if self._loaded is None:
            seed_rank_apart(trainer.global_rank)
        else:
            same_settings = early_stopping_of(self._config) == early_stopping_of(self._loaded.get("config"))
            stopped_early = self._loaded["should_stop"] and same_settings
            trainer.should_stop = trainer.should_stop or stopped_early
            # If no training is left, none of the later hooks restores the random state.
            restore_random(self._loaded, trainer.global_rank)
            if isinstance(trainer.logger, JournalLogger):
                trainer.logger.set_epoch(self._loaded["epoch"] - int(self._loaded["over"]))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        lightning_internals.call_step_boundary_hooks(trainer, pl_module)
        lightning_internals.validate_between_updates(trainer)
        if self._loaded is None:
            return
        state = self._loaded
        position = lightning_internals.Position(state["epoch"], state["batch"])
        reject_other_order(trainer, state)
        lightning_internals.restart_loaders(trainer, position)
        warnings.filterwarnings(
            "ignore", message="You're resuming from a checkpoint that ended before the epoch"
        )
        if state["over"]:
            lightning_internals.start_new_epoch(trainer)
        else:
            lightning_internals.fix_counters(trainer, state["batches_that_stepped"], state["validating"])
        lightning_internals.set_modules_in_eval(pl_module, state["modules_in_eval"])
        trainer._logger_connector._callback_metrics.update(state["metrics"])
        self._random_due = True

    def _restore_random(self, at_saved_position: bool) -> None:
        """Restore the random state where it was captured; earlier hooks may have used random numbers."""
        if at_saved_position and self._random_due and self._loaded is not None:
            restore_random(self._loaded, self._rank)
            self._random_due = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random state if a finished training is extended."""
        self._restore_random(self._loaded is not None and self._loaded["over"])

    def on_step_boundary(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore_random(True)
        self._loaded = None


def config_of(checkpoint: str | PathLike) -> dict[str, Any] | None:
    """Return the config stored in a checkpoint, without reading the weights; None if it has none."""
    path = Path(checkpoint)
    if path.is_dir():
        loaded = read_rest(path)
    else:
        loaded = migrate_checkpoint(torch.load(path, map_location="cpu", mmap=True, weights_only=True))
    return (loaded.get(KEY) or {}).get("config")


def early_stopping_of(config: dict[str, Any] | None) -> Any:
    """Return the settings of early stopping; if they have changed, its stored decision does not apply."""
    return ((config or {}).get("regularization") or {}).get("early_stopping")


def describe(trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
    """Collect the state that Lightning omits, as tensors and plain containers."""
    position = lightning_internals.position_of(trainer)
    journal = journal_of(trainer)
    # In Lightning 2.6 the public property recomputes the metrics, which changes them.
    metrics = trainer._logger_connector._callback_metrics
    random = all_gather(get_random_state())
    return {
        "random": random[0],
        "random_of_ranks": random[1:],
        "epoch": position.epoch,
        "batch": position.batch,
        "batches_that_stepped": trainer.fit_loop.epoch_loop._batches_that_stepped,
        "validating": trainer.validating,
        "over": lightning_internals.is_over(trainer),
        "should_stop": trainer.should_stop,
        "order": lightning_internals.order_of(trainer),
        "modules_in_eval": lightning_internals.modules_in_eval(trainer, pl_module),
        "metrics": {key: value.detach().cpu().clone() for key, value in metrics.items()},
        "journal": None if journal is None else journal.offset,
    }


def restore_random(state: dict[str, Any], rank: int) -> None:
    """Restore this rank's random state; a rank without a stored state gets one that no other rank has."""
    states = [state["random"], *state.get("random_of_ranks", ())]
    set_random_state(states[rank] if rank < len(states) else states[0])
    if rank >= len(states):
        seed_rank_apart(rank)


def seed_rank_apart(rank: int) -> None:
    """Seed all ranks but rank 0 differently, so that dropout masks differ between the shares of a batch."""
    if rank:
        torch.manual_seed(seed_of(torch.initial_seed(), "rank", rank))


def journal_of(trainer: pl.Trainer) -> Journal | None:
    """Return the journal that the trainer's logger writes; None on other ranks and for other loggers."""
    return trainer.logger.journal if isinstance(trainer.logger, JournalLogger) else None


def truncate(journal: Journal, offset: int) -> None:
    """Remove the metrics written after a checkpoint from the journal.

    Args:
        journal: journal of the run.
        offset: length of the journal in bytes when the checkpoint was saved.
    """
    if offset > journal.offset:
        log.warning(
            "%s has %d bytes, but had %d when the checkpoint was saved: some metrics are lost.",
            journal.path, journal.offset, offset,
        )  # fmt: skip
        return
    journal.truncate(offset)


def reject_other_order(trainer: pl.Trainer, state: dict[str, Any]) -> None:
    """Reject resuming within an epoch if the order of its samples has changed.

    Raises:
        UserError: the remaining samples of the epoch are unknown because their order depends on other
            settings.
    """
    order = lightning_internals.order_of(trainer)
    if state["batch"] == 0 or order == state["order"]:
        return
    if not order:
        log.warning(
            "The train loader is not one of runner's: the interrupted epoch restarts from its beginning."
        )
        return
    changed = [
        f"{key}={now[key]} (was {before[key]})"
        for now, before in zip(order, state["order"], strict=False)
        for key in now
        if now[key] != before[key]
    ]
    raise UserError(
        f"the run stopped within epoch {state['epoch']}, after {state['batch']} batches, and its data have "
        f"changed since: {', '.join(changed)}. Restore these settings, or start a new run."
    )
