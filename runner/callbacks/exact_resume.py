"""Exact resume: an interrupted training continues with the same samples and random numbers, bit for bit."""

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
from runner.callbacks.random_state import get_random_state, set_random_state
from runner.data.sampler import seed_of
from runner.distributed.collectives import all_gather
from runner.distributed.fsdp_checkpoint import read_rest
from runner.errors import UserError
from runner.run.journal import Journal

__all__ = ["Recovery", "config_of"]

KEY = "recovery"

log = logging.getLogger("runner.recovery")


class Recovery(pl.Callback):
    """Keeps in every checkpoint what Lightning leaves out, and puts it back.

    These are the random states, the place in the train loader, which modules are in evaluation mode, the
    newest validation metrics, whether early stopping has spoken, the length of the journal, and the config.
    Metrics
    written after the checkpoint are cut off the journal: the run writes them again.

    Args:
        config: of the run, in plain containers: it stands in every checkpoint.
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
        """A checkpoint written in a validation is one of the moment before it."""
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
            shorten(journal, (self._loaded or {}).get("journal") or 0)
        if self._loaded is None:
            draw_apart(trainer.global_rank)
        else:
            spoken = self._loaded["should_stop"] and patience_of(self._config) == patience_of(
                self._loaded.get("config")
            )
            trainer.should_stop = trainer.should_stop or spoken
            restore_random(self._loaded, trainer.global_rank)  # the only place, when nothing is left to train
            if hasattr(trainer.logger, "set_epoch"):
                trainer.logger.set_epoch(self._loaded["epoch"] - int(self._loaded["over"]))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        lightning_internals.announce_boundaries(trainer, pl_module)
        lightning_internals.validate_between_updates(trainer)
        if self._loaded is None:
            return
        state = self._loaded
        position = lightning_internals.Position(state["epoch"], state["batch"])
        reject_other_order(trainer, state)
        lightning_internals.place_loaders(trainer, position)
        warnings.filterwarnings(
            "ignore", message="You're resuming from a checkpoint that ended before the epoch"
        )
        if state["over"]:
            lightning_internals.begin_afresh(trainer)
        else:
            lightning_internals.settle_counters(trainer, state["batches_that_stepped"], state["validating"])
        lightning_internals.set_modules_in_eval(pl_module, state["modules_in_eval"])
        trainer._logger_connector._callback_metrics.update(state["metrics"])
        self._random_due = True

    def _restore_random(self, here: bool) -> None:
        """Again, at the very place where the state was taken: hooks that came before have drawn."""
        if here and self._random_due:
            restore_random(self._loaded, self._rank)
            self._random_due = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Continues a finished training that is extended."""
        self._restore_random(self._loaded is not None and self._loaded["over"])

    def on_step_boundary(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore_random(True)
        self._loaded = None


def config_of(checkpoint: str | PathLike) -> dict[str, Any] | None:
    """The config that a checkpoint was trained with; None where it keeps none. Reads no weight."""
    path = Path(checkpoint)
    if path.is_dir():
        loaded = read_rest(path)
    else:
        loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    return (loaded.get(KEY) or {}).get("config")


def patience_of(config: dict[str, Any] | None) -> Any:
    """The settings of early stopping; if they have changed, its stored decision does not apply."""
    return ((config or {}).get("regularization") or {}).get("early_stopping")


def describe(trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
    """All that Lightning leaves out, as tensors and plain containers."""
    position = lightning_internals.position_of(trainer)
    journal = journal_of(trainer)
    # The public property would recompute and thereby change them.
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
    """This rank's own state; where it had none, one that no other rank has."""
    of_ranks = [state["random"], *state.get("random_of_ranks", ())]
    set_random_state(of_ranks[rank] if rank < len(of_ranks) else of_ranks[0])
    if rank >= len(of_ranks):
        draw_apart(rank)


def draw_apart(rank: int) -> None:
    """Gives every rank but the first its own random numbers: dropout must not drop the same of each share."""
    if rank:
        torch.manual_seed(seed_of(torch.initial_seed(), "rank", rank))


def journal_of(trainer: pl.Trainer) -> Journal | None:
    journal = getattr(trainer.logger, "journal", None)
    return journal if isinstance(journal, Journal) else None


def shorten(journal: Journal, offset: int) -> None:
    if offset > journal.offset:
        log.warning(
            "%s has %d bytes, %d were written before the checkpoint: some of its metrics are lost.",
            journal.path, journal.offset, offset,
        )  # fmt: skip
        return
    journal.truncate(offset)


def reject_other_order(trainer: pl.Trainer, state: dict[str, Any]) -> None:
    """In the middle of an epoch, the samples that are left are known only if their order is the same."""
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
        f"changed since: {', '.join(changed)}. Restore these to go on, or start a new run."
    )
