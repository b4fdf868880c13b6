"""Guards against non-finite losses, gradients and weights: stops, skips the step, or rolls back."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

import pytorch_lightning as pl
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from runner.callbacks import lightning_internals
from runner.callbacks.lightning_internals import task_of
from runner.distributed.collectives import any_across_ranks
from runner.errors import NonFiniteLossError, RollBack, UserError

__all__ = [
    "NonFiniteGuard",
    "describe_batch",
    "gradients_are_finite",
    "gradients_not_finite",
    "parameters_not_finite",
    "some",
]

MAX_NAMES = 8


def describe_batch(trainer: pl.Trainer, batch: Any) -> str:
    """Describe the samples of a batch in one sentence with a leading blank; empty if they are unknown."""
    names = sample_names(trainer, batch)
    broken = [name for name, bad in zip(names, non_finite_inputs(batch), strict=False) if bad]
    if broken:
        return f" The inputs of {some(broken)} contain NaN or infinity."
    return f" Samples of the batch: {some(names)}." if names else ""


def sample_names(trainer: pl.Trainer, batch: Any) -> list[str]:
    """Return the names of the samples of a training batch; empty if they are unknown."""
    index = batch.get("index") if isinstance(batch, dict) else None
    name = getattr(lightning_internals.data_module_of(trainer), "sample_name", None)
    if index is None or name is None:
        return []
    return [name("train", i) if i >= 0 else "an unnamed sample" for i in torch.as_tensor(index).tolist()]


def non_finite_inputs(batch: Any) -> list[bool]:
    """Return for each sample whether its inputs contain NaN or infinity."""
    inputs = batch.get("inputs", ()) if isinstance(batch, dict) else ()
    return [not bool(torch.isfinite(sample).all()) for sample in inputs if isinstance(sample, Tensor)]


def some(names: list[str]) -> str:
    """Join names, but at most the first few."""
    rest = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def local_values(tensor: Tensor) -> Tensor:
    """Return the values of this rank's shard, without the indices of a sparse tensor."""
    if isinstance(tensor, DTensor):
        tensor = tensor.to_local()
    return tensor.coalesce().values() if tensor.is_sparse else tensor


def gradients_are_finite(module: nn.Module) -> Tensor:
    """Return whether the sum of every gradient is finite, as a boolean tensor on the device.

    Sums propagate NaN and infinity and are the fastest check. Values around 1e38 may also add up to infinity;
    ``gradients_not_finite`` checks exactly.
    """
    values = [local_values(p.grad) for p in module.parameters() if p.grad is not None]
    if not values:
        return torch.tensor(True)
    sums = [value.sum(dtype=torch.float32) for value in values]
    if len({total.device for total in sums}) > 1:  # a model on several devices of one process
        sums = [total.to(sums[0].device) for total in sums]
    return torch.isfinite(torch.stack(sums)).all()


def gradients_not_finite(module: nn.Module) -> list[str]:
    """Return the names of the parameters whose gradient contains NaN or infinity."""
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return [
        name for name, gradient in gradients.items() if not bool(torch.isfinite(local_values(gradient)).all())
    ]


def parameters_not_finite(module: nn.Module) -> list[str]:
    """Return the names of parameters with NaN or infinity and of saved buffers with NaN.

    Buffers may contain infinity, for example in masks.
    """
    saved = set(module.state_dict().keys())
    is_valid = {name: torch.isfinite(local_values(p)).all() for name, p in module.named_parameters()}
    is_valid |= {
        name: ~torch.isnan(local_values(buffer)).any()
        for name, buffer in module.named_buffers()
        if name in saved and buffer.is_floating_point()
    }
    if not is_valid:
        return []
    device = next(iter(is_valid.values())).device
    flags = torch.stack([flag.to(device) for flag in is_valid.values()]).tolist()
    return [name for name, flag in zip(is_valid, flags, strict=True) if not flag]


DEFAULT_MAXIMUM = {"skip": 10, "roll_back": 3}

log = logging.getLogger("runner.guard")


class NonFiniteGuard(pl.Callback):
    """Checks the loss and the gradient before each update, and the weights before each checkpoint.

    Under fp16 the gradient is not checked: the gradient scaler skips non-finite updates and lowers its scale.

    Args:
        on_non_finite: ``stop`` ends the run; ``skip`` omits the update; ``roll_back`` resumes from the last
            good checkpoint with a lower learning rate.
        most: number of consecutive skips (``skip``) or of roll-backs (``roll_back``) after which the run
            ends; 10 and 3 if null.
        lr_factor: factor of the learning rate after each roll-back; 0.5 if null.
        every_n_steps: number of batches between two checks (``stop``); if null, 1 on a CPU and
            ``log_every_n_steps`` on other devices, since each check waits for the device.

    Raises:
        NonFiniteLossError: names the step and the samples of the first such batch.
    """

    def __init__(
        self,
        on_non_finite: Literal["stop", "skip", "roll_back"] = "stop",
        most: Annotated[int, Ge(1)] | None = None,
        lr_factor: Annotated[float, Gt(0), Lt(1)] | None = None,
        every_n_steps: Annotated[int, Gt(0)] | None = None,
    ) -> None:
        reject_without_effect(on_non_finite, most, lr_factor, every_n_steps)
        self.on_non_finite = on_non_finite
        self.most = most or DEFAULT_MAXIMUM.get(on_non_finite, 0)
        self.lr_factor = lr_factor or 0.5
        self.every_n_steps = every_n_steps
        self.skipped = self.in_a_row = 0
        self._interval = 1
        self._pending: list[tuple[int, int, str, Tensor, Any]] = []
        self._failure: str | None = None
        self._batch: Any = None
        self._batch_idx = 0
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        every_batch = pl_module.device.type == "cpu" or self.on_non_finite != "stop"
        default = 1 if every_batch else lightning_internals.log_interval(trainer)
        self._interval = self.every_n_steps or default or 1
        self._pending, self._failure = [], None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch, self._batch_idx = batch, batch_idx
        if self.on_non_finite == "skip":
            buffers = [buffer for buffer in pl_module.buffers() if buffer.numel()]
            self._buffers = [(buffer, buffer.clone()) for buffer in buffers]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._check(trainer, pl_module, "loss", loss.detach())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            self._check(trainer, pl_module, "gradient", gradients_are_finite(pl_module))
        if self.on_non_finite == "stop":
            return
        if trainer.world_size > 1:  # all ranks must skip the same steps
            any_failed = trainer.strategy.reduce_boolean_decision(self._failure is not None, all=False)
            other_rank = "another rank's share of the batch was not finite."
            self._failure = (self._failure or other_rank) if any_failed else None
            if any_failed:
                task_of(pl_module).last_train_loss = None  # losses are averaged over all ranks or none
        if self._failure is not None and self.on_non_finite == "skip":
            optimizer.zero_grad(set_to_none=True)  # optimizers do not update parameters without a gradient
        elif self._failure is not None:
            self._fail(trainer, self._failure)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.on_non_finite != "skip":
            return
        if self._failure is not None:  # the batch has entered the statistics of batch norms
            with torch.no_grad():
                for buffer, before in self._buffers:
                    buffer.copy_(before)
        self._buffers = []
        if lightning_internals.between_updates(trainer):
            self._count_skipped(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._check_pending(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the weights, so that good checkpoints are not replaced by bad ones."""
        if not trainer.training and not trainer.validating:
            return
        self._check_pending(trainer)
        names = parameters_not_finite(pl_module)
        if any_across_ranks(bool(names)) == [True]:
            names = names or ["the share of another rank"]
            self._fail(
                trainer,
                f"step {trainer.global_step} (epoch {trainer.current_epoch}): weights became NaN or "
                f"infinite in {some(names)}, although the loss was still finite.",
            )

    def _check(self, trainer: pl.Trainer, pl_module: pl.LightningModule, kind: str, value: Tensor) -> None:
        """Check a value at once if the interval is 1; otherwise keep it on the device for a later check."""
        step = trainer.global_step + 1
        if self._interval > 1:  # keep only the indices: the inputs would fill the device
            index = {"index": self._batch.get("index")} if isinstance(self._batch, dict) else None
            self._pending.append((step, self._batch_idx, kind, value, index))
            if len(self._pending) >= 2 * self._interval:
                self._check_pending(trainer)
        elif not bool(finite_flag(value)):
            names = gradients_not_finite(pl_module) if kind == "gradient" else []
            if kind == "gradient" and not names:
                return  # large, but finite
            message = describe_failure(trainer, step, self._batch_idx, kind, value, self._batch, names)
            if self.on_non_finite == "stop":
                self._fail(trainer, message)
            self._failure = self._failure or message
            if kind == "loss":
                task_of(pl_module).last_train_loss = None  # excludes it from the mean loss

    def _check_pending(self, trainer: pl.Trainer) -> None:
        pending, self._pending = self._pending, []
        flags = torch.stack([finite_flag(value) for *_, value, _ in pending]).tolist() if pending else []
        if not all(flags):
            self._fail(trainer, describe_failure(trainer, *pending[flags.index(False)], []))

    def _count_skipped(self, trainer: pl.Trainer) -> None:
        failure, self._failure = self._failure, None
        self.in_a_row = self.in_a_row + 1 if failure else 0
        if failure is None:
            return
        self.skipped += 1
        log.warning("%s The update is skipped (%d so far).", failure, self.skipped)
        if trainer.logger is not None:
            trainer.logger.log_metrics(
                {"train/skipped_updates": float(self.skipped)}, step=trainer.global_step
            )
        if self.in_a_row > self.most:
            raise NonFiniteLossError(
                f"{self.in_a_row} consecutive updates were skipped. {failure} {advice(trainer)}"
            )

    def _fail(self, trainer: pl.Trainer, message: str) -> None:
        if self.on_non_finite == "roll_back":
            raise RollBack(f"{message} {advice(trainer)}", self.lr_factor, self.most)
        raise NonFiniteLossError(f"{message} {advice(trainer)}")


def reject_without_effect(on_non_finite: str, most: Any, lr_factor: Any, every_n_steps: Any) -> None:
    """Reject arguments that would have no effect.

    Raises:
        UserError: an argument applies only to other values of ``on_non_finite``.
    """
    has_no_effect = {
        "most": most is not None and on_non_finite == "stop",
        "lr_factor": lr_factor is not None and on_non_finite != "roll_back",
        "every_n_steps": every_n_steps is not None and on_non_finite != "stop",
    }
    applies_to = {"most": "skip or roll_back", "lr_factor": "roll_back", "every_n_steps": "stop"}
    for name, without_effect in has_no_effect.items():
        if without_effect:
            raise UserError(
                f"{name} would have no effect with on_non_finite={on_non_finite}; it applies to "
                f"{applies_to[name]}. Remove it."
            )


def finite_flag(value: Tensor) -> Tensor:
    """Return a boolean tensor: the flag itself, or whether all values are finite."""
    return value if value.dtype == torch.bool else torch.isfinite(value).all()


def describe_failure(
    trainer: pl.Trainer, step: int, batch_idx: int, kind: str, value: Tensor, batch: Any, names: list[str]
) -> str:
    """Describe the step, the non-finite value and the samples of the batch.

    Args:
        trainer: the trainer.
        step: number of the update, from 1.
        batch_idx: number of the batch in the epoch.
        kind: ``loss`` or ``gradient``.
        value: the loss, or a flag of the gradient.
        batch: the batch, or its indices.
        names: names of parameters with a non-finite gradient.
    """
    fact = f"the training loss is {value.tolist()}" if kind == "loss" else "the gradient is not finite"
    where = f" in {some(names)}" if names else ""
    return (
        f"step {step} (epoch {trainer.current_epoch}, batch {batch_idx}): {fact}{where}."
        f"{describe_batch(trainer, batch)}"
    )


def advice(trainer: pl.Trainer) -> str:
    """Suggest remedies, with the current learning rates."""
    rates = sorted({group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups})
    now = f" (now {', '.join(f'{rate:.3g}' for rate in rates)})" if rates else ""
    return (
        f"The last good checkpoint is kept. Try a lower learning rate{now}, "
        "trainer.gradient_clip_val=1.0, or full precision."
    )
