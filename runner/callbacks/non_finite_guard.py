"""The guard against non-finite values: it stops the training, skips the step or rolls the run back."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

import pytorch_lightning as pl
import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from runner.callbacks import lightning_internals
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

NUM_NAMES = 8


def describe_batch(trainer: pl.Trainer, batch: Any) -> str:
    """One sentence with a blank before it; empty when nothing is known."""
    names = sample_names(trainer, batch)
    broken = [name for name, bad in zip(names, non_finite_inputs(batch), strict=False) if bad]
    if broken:
        return f" The inputs of {some(broken)} hold NaN or infinity."
    return f" The batch: {some(names)}." if names else ""


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


def numbers_of(tensor: Tensor) -> Tensor:
    """This rank's share, and of a sparse tensor the values."""
    if isinstance(tensor, DTensor):
        tensor = tensor.to_local()
    return tensor.coalesce().values() if tensor.is_sparse else tensor


def gradients_are_finite(module: nn.Module) -> Tensor:
    """A boolean that stays on the device, by the sum of each gradient: NaN and infinity stay in it, and
    nothing is faster. Numbers around 1e38 may add up to infinity too; ``gradients_not_finite`` knows
    better.
    """
    values = [numbers_of(p.grad) for p in module.parameters() if p.grad is not None]
    if not values:
        return torch.tensor(True)
    sums = [value.sum(dtype=torch.float32) for value in values]
    if len({one.device for one in sums}) > 1:  # a model dealt out to several devices of one process
        sums = [one.to(sums[0].device) for one in sums]
    return torch.isfinite(torch.stack(sums)).all()


def gradients_not_finite(module: nn.Module) -> list[str]:
    """Names of the parameters whose gradient holds NaN or infinity."""
    gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return [
        name for name, gradient in gradients.items() if not bool(torch.isfinite(numbers_of(gradient)).all())
    ]


def parameters_not_finite(module: nn.Module) -> list[str]:
    """Names of the parameters with NaN or infinity, and of the buffers with NaN (a mask may well hold
    infinity).
    """
    saved = set(module.state_dict().keys())
    found = {name: torch.isfinite(numbers_of(p)).all() for name, p in module.named_parameters()}
    found |= {
        name: ~torch.isnan(numbers_of(buffer)).any()
        for name, buffer in module.named_buffers()
        if name in saved and buffer.is_floating_point()
    }
    if not found:
        return []
    device = next(iter(found.values())).device
    fine = torch.stack([flag.to(device) for flag in found.values()]).tolist()
    return [name for name, one in zip(found, fine, strict=True) if not one]


MOST = {"skip": 10, "roll_back": 3}

log = logging.getLogger("runner.guard")


class NonFiniteGuard(pl.Callback):
    """Looks at the training loss and at the gradient before each update, and keeps weights that are no
    numbers out of checkpoints.

    Under fp16 the gradient is the loss scaler's business: it leaves such updates out and lowers its scale.

    Args:
        on_non_finite: stop ends the run; skip omits the update; roll_back resumes from the last good
            checkpoint with a lower learning rate.
        most: skip and roll_back: how often, in a row or in all, before the run ends all the same; 10 and 3
            when null.
        lr_factor: roll_back: what the learning rate is multiplied by; 0.5 when null.
        every_n_steps: stop: batches between two looks; null takes 1 on a processor and ``log_every_n_steps``
            elsewhere, for each look waits for the device.

    Raises:
        NonFiniteLossError: with the step and the samples of the first such batch.
    """

    def __init__(
        self,
        on_non_finite: Literal["stop", "skip", "roll_back"] = "stop",
        most: Annotated[int, Ge(1)] | None = None,
        lr_factor: Annotated[float, Gt(0), Lt(1)] | None = None,
        every_n_steps: Annotated[int, Gt(0)] | None = None,
    ) -> None:
        reject_idle(on_non_finite, most, lr_factor, every_n_steps)
        self.on_non_finite = on_non_finite
        self.most = most or MOST.get(on_non_finite, 0)
        self.lr_factor = lr_factor or 0.5
        self.every_n_steps = every_n_steps
        self.skipped = self.in_a_row = 0
        self._interval = 1
        self._seen: list[tuple[int, int, str, Tensor, Any]] = []
        self._wrong: str | None = None
        self._batch: Any = None
        self._batch_idx = 0
        self._buffers: list[tuple[Tensor, Tensor]] = []

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        at_once = pl_module.device.type == "cpu" or self.on_non_finite != "stop"
        self._interval = self.every_n_steps or (1 if at_once else trainer.log_every_n_steps) or 1
        self._seen, self._wrong = [], None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch, self._batch_idx = batch, batch_idx
        if self.on_non_finite == "skip":
            buffers = [buffer for buffer in pl_module.buffers() if buffer.numel()]
            self._buffers = [(buffer, buffer.clone()) for buffer in buffers]

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._look_at(trainer, pl_module, "loss", loss.detach())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            self._look_at(trainer, pl_module, "gradient", gradients_are_finite(pl_module))
        if self.on_non_finite == "stop":
            return
        if trainer.world_size > 1:  # all ranks leave a step out, or none
            wrong = trainer.strategy.reduce_boolean_decision(self._wrong is not None, all=False)
            self._wrong = (
                (self._wrong or "another rank's share of the batch was not finite.") if wrong else None
            )
            if wrong:
                pl_module.last_train_loss = None  # the ranks add up their losses, all of them or none
        if self._wrong is not None and self.on_non_finite == "skip":
            optimizer.zero_grad(set_to_none=True)  # an optimizer leaves parameters without a gradient alone
        elif self._wrong is not None:
            self._fail(trainer, self._wrong)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if self.on_non_finite != "skip":
            return
        if self._wrong is not None:  # norms have taken such a batch into their statistics
            with torch.no_grad():
                for buffer, before in self._buffers:
                    buffer.copy_(before)
        self._buffers = []
        if lightning_internals.between_updates(trainer):
            self._count(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._look(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The last moment at which good weights on the disk can be kept from being replaced by bad ones."""
        if not trainer.training and not trainer.validating:
            return
        self._look(trainer)
        wrong = parameters_not_finite(pl_module)
        if any_across_ranks(bool(wrong)) == [True]:
            wrong = wrong or ["the share of another rank"]
            self._fail(
                trainer,
                f"step {trainer.global_step} (epoch {trainer.current_epoch}): weights became NaN or "
                "infinite in "
                f"{some(wrong)}, though the loss was still a number.",
            )

    def _look_at(self, trainer: pl.Trainer, pl_module: pl.LightningModule, what: str, value: Tensor) -> None:
        """Now, where that costs little; else the value is kept on the device for later."""
        step = trainer.global_step + 1
        if self._interval > 1:  # not the inputs: they would fill the device
            index = {"index": self._batch.get("index")} if isinstance(self._batch, dict) else None
            self._seen.append((step, self._batch_idx, what, value, index))
            if len(self._seen) >= 2 * self._interval:
                self._look(trainer)
        elif not is_fine(value):
            names = gradients_not_finite(pl_module) if what == "gradient" else []
            if what == "gradient" and not names:
                return  # large, but numbers
            message = tell(trainer, step, self._batch_idx, what, value, self._batch, names)
            if self.on_non_finite == "stop":
                self._fail(trainer, message)
            self._wrong = self._wrong or message
            if what == "loss":
                pl_module.last_train_loss = None  # keeps it out of the mean loss

    def _look(self, trainer: pl.Trainer) -> None:
        seen, self._seen = self._seen, []
        fine = torch.stack([flag_of(value) for *_, value, _ in seen]).tolist() if seen else []
        if not all(fine):
            self._fail(trainer, tell(trainer, *seen[fine.index(False)], []))

    def _count(self, trainer: pl.Trainer) -> None:
        wrong, self._wrong = self._wrong, None
        self.in_a_row = self.in_a_row + 1 if wrong else 0
        if wrong is None:
            return
        self.skipped += 1
        log.warning("%s The update is left out (%d so far).", wrong, self.skipped)
        if trainer.logger is not None:
            trainer.logger.log_metrics(
                {"train/skipped_updates": float(self.skipped)}, step=trainer.global_step
            )
        if self.in_a_row > self.most:
            raise NonFiniteLossError(
                f"{self.in_a_row} updates in a row could not be made. {wrong} {advice(trainer)}"
            )

    def _fail(self, trainer: pl.Trainer, message: str) -> None:
        if self.on_non_finite == "roll_back":
            raise RollBack(f"{message} {advice(trainer)}", self.lr_factor, self.most)
        raise NonFiniteLossError(f"{message} {advice(trainer)}")


def reject_idle(on_non_finite: str, most: Any, lr_factor: Any, every_n_steps: Any) -> None:
    """
    Raises:
        UserError: a value that nothing would read.
    """
    idle = {
        "most": most is not None and on_non_finite == "stop",
        "lr_factor": lr_factor is not None and on_non_finite != "roll_back",
        "every_n_steps": every_n_steps is not None and on_non_finite != "stop",
    }
    reader = {"most": "skip or roll_back", "lr_factor": "roll_back", "every_n_steps": "stop"}
    for name, is_idle in idle.items():
        if is_idle:
            raise UserError(
                f"{name} would have no effect with on_non_finite={on_non_finite}; it is for {reader[name]}. "
                "Remove it."
            )


def flag_of(value: Tensor) -> Tensor:
    return value if value.dtype == torch.bool else torch.isfinite(value).all()


def is_fine(value: Tensor) -> bool:
    return bool(flag_of(value))


def tell(
    trainer: pl.Trainer, step: int, batch_idx: int, what: str, value: Tensor, batch: Any, names: list[str]
) -> str:
    """Which step it was, what is not finite, and which samples were in the batch."""
    found = f"the training loss is {value.tolist()}" if what == "loss" else "the gradient is not finite"
    where = f" in {some(names)}" if names else ""
    place = f"step {step} (epoch {trainer.current_epoch}, batch {batch_idx})"
    return f"{place}: {found}{where}.{describe_batch(trainer, batch)}"


def advice(trainer: pl.Trainer) -> str:
    rates = sorted({group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups})
    now = f" (now {', '.join(f'{rate:.3g}' for rate in rates)})" if rates else ""
    return (
        f"The last good checkpoint is kept. Try a lower learning rate{now}, "
        "trainer.gradient_clip_val=1.0, or full precision."
    )
