"""A training that has gone wrong ends, and says where."""

from __future__ import annotations

import math
from typing import Annotated, Any

import pytorch_lightning as pl
import torch
from annotated_types import Gt
from torch import Tensor
from torch.distributed.tensor import DTensor

from runner.errors import NonFiniteLossError
from runner.ranks.exchange import any_rank

__all__ = ["NonFiniteLossGuard"]

NUM_NAMES = 8


class NonFiniteLossGuard(pl.Callback):
    """Ends the run when the training loss is NaN or infinite, and keeps such weights out of checkpoints.

    On a CPU every loss is looked at. On other devices the losses are kept there and looked at together, for
    each look waits for the device.

    Args:
        every_n_steps: batches between two looks; None takes 1 on a CPU and ``log_every_n_steps`` elsewhere.

    Raises:
        NonFiniteLossError: with the step and the samples of the first such batch.
    """

    def __init__(self, every_n_steps: Annotated[int, Gt(0)] | None = None):
        self.every_n_steps = every_n_steps
        self._interval = 1
        self._seen: list[tuple[int, int, Tensor, Any]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        on_cpu = pl_module.device.type == "cpu"
        self._interval = self.every_n_steps or (1 if on_cpu else trainer.log_every_n_steps) or 1
        self._seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor):
            return
        if self._interval == 1 and loss.numel() == 1 and math.isfinite(loss.item()):
            return
        if self._interval > 1:  # not the inputs: they would fill the device
            batch = {"index": batch.get("index")} if isinstance(batch, dict) else None
        self._seen.append((trainer.global_step, batch_idx, loss.detach(), batch))
        if len(self._seen) >= self._interval:
            self._look(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._look(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The last moment at which good weights on the disk can be kept from being replaced by bad ones."""
        if not trainer.training and not trainer.validating:
            return
        self._look(trainer)
        parameters = {name: own_share(parameter) for name, parameter in pl_module.named_parameters()}
        finite = torch.stack(
            [torch.isfinite(p).all() for p in parameters.values()] or [torch.tensor(True)]
        ).tolist()
        wrong = [name for name, fine in zip(parameters, finite, strict=False) if not fine]
        if any_rank(bool(wrong)) == [True]:
            wrong = wrong or ["the share of another rank"]
            raise NonFiniteLossError(
                f"step {trainer.global_step} (epoch {trainer.current_epoch}): weights became NaN or infinite in "
                f"{some(wrong)}, though the loss was still a number. {advice(trainer)}"
            )

    def _look(self, trainer: pl.Trainer) -> None:
        seen, self._seen = self._seen, []
        if not seen:
            return
        finite = torch.stack([torch.isfinite(loss).all() for *_, loss, _ in seen]).tolist()
        if not all(finite):
            step, batch_idx, loss, batch = seen[finite.index(False)]
            raise NonFiniteLossError(describe(trainer, step, batch_idx, loss, batch))


def own_share(parameter: Tensor) -> Tensor:
    """Of a parameter that is dealt out to the ranks, what this one has."""
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def describe(trainer: pl.Trainer, step: int, batch_idx: int, loss: Tensor, batch: Any) -> str:
    """Which step it was, which samples were in the batch, and those of them that are not numbers themselves."""
    text = f"step {step} (epoch {trainer.current_epoch}, batch {batch_idx}): the training loss is {loss.tolist()}."
    names = sample_names(trainer, batch)
    broken = [name for name, bad in zip(names, non_finite_inputs(batch), strict=False) if bad]
    if broken:
        text += f" The inputs of {some(broken)} hold NaN or infinity."
    elif names:
        text += f" The batch: {some(names)}."
    return f"{text} {advice(trainer)}"


def sample_names(trainer: pl.Trainer, batch: Any) -> list[str]:
    index = batch.get("index") if isinstance(batch, dict) else None
    name = getattr(trainer.datamodule, "sample_name", None)
    if index is None or name is None:
        return []
    return [name("train", i) if i >= 0 else "an unnamed sample" for i in torch.as_tensor(index).tolist()]


def non_finite_inputs(batch: Any) -> list[bool]:
    """One flag a sample."""
    inputs = batch.get("inputs", ()) if isinstance(batch, dict) else ()
    return [not bool(torch.isfinite(one).all()) for one in inputs if isinstance(one, Tensor)]


def some(names: list[str]) -> str:
    rest = len(names) - NUM_NAMES
    return ", ".join(names[:NUM_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def advice(trainer: pl.Trainer) -> str:
    rates = sorted({group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups})
    now = f" (now {', '.join(f'{rate:.3g}' for rate in rates)})" if rates else ""
    return (
        f"The last good checkpoint is kept. Try a lower learning rate{now}, "
        "trainer.gradient_clip_val=1.0, or full precision."
    )
