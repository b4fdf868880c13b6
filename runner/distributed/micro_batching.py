"""Training steps with micro-batches, retried with smaller micro-batches after an out-of-memory error."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.strategies import Strategy
from torch import Tensor

from runner.distributed.collectives import world_size
from runner.distributed.memory import StepSnapshot, is_out_of_memory, release_memory
from runner.distributed.split_batch import cut, num_micro_batches, set_weights, shares
from runner.errors import OutOfMemoryError

__all__ = ["LossSum", "MicroBatching", "MicroBatchingStrategy"]

log = logging.getLogger("runner.memory")


@dataclass
class MicroBatching:
    """The size of micro-batches.

    Attributes:
        size: number of samples of a micro-batch on each device; None for the whole share of the device.
        halves: whether an out-of-memory error halves the size.
    """

    size: int | None = None
    halves: bool = True

    def halve(self, batch: dict[str, Any], step: int, error: BaseException) -> None:
        """Halve the size, to the same size on every rank.

        Args:
            batch: this rank's share of the batch that did not fit.
            step: number of the step, for messages.
            error: the out-of-memory error.

        Raises:
            OutOfMemoryError: the size is already a single sample.
        """
        parts = num_micro_batches(batch, self.size)
        old_size = -(-shares(batch)[1] // parts)
        reason = str(error).partition("\n")[0]
        if old_size == 1:
            raise OutOfMemoryError(
                f"step {step}: a single sample does not fit into memory ({reason}). Use a smaller model or "
                "input, or hardware.activation_checkpointing=true."
            )
        self.size = old_size // 2
        log.warning(
            "step %d: out of memory with a micro-batch of %d samples (%s). This step is repeated with "
            "micro-batches of %d, which are also used from now on; the batch size does not change.",
            step, old_size, reason, self.size,
        )  # fmt: skip


class MicroBatchingStrategy(Strategy):
    """Base class that adds micro-batches to one of Lightning's strategies.

    The forward and backward passes of all micro-batches run within ``training_step``, and their gradients are
    accumulated. The backward pass of Lightning's loop then does nothing, or only synchronizes the ranks. A
    step that runs out of memory is undone and repeated with smaller micro-batches: random states, running
    statistics and attributes of the task are restored.

    Attributes:
        micro_batching: size of the micro-batches.
        clears_gradients: tasks must not clear gradients themselves, since the loop would do so too late.
    """

    micro_batching: MicroBatching
    clears_gradients = True

    @property
    def task(self) -> LightningModule:
        """The module that is trained."""
        assert self.lightning_module is not None  # Lightning connects it before training
        return self.lightning_module

    def training_step(self, batch: Any, batch_idx: int, *args: Any) -> Tensor:
        trainer = self.task.trainer
        begins_update = batch_idx % trainer.accumulate_grad_batches == 0
        may_repeat = self.micro_batching.halves and begins_update and self.can_repeat_step
        if begins_update:
            self.clear_gradients()
        while True:
            snapshot = StepSnapshot(self.task, self.root_device) if may_repeat else None
            try:
                return self.run_micro_batches(batch, batch_idx)
            except (RuntimeError, MemoryError) as error:
                if snapshot is None or not is_out_of_memory(error):
                    raise
                failure = error.with_traceback(None)  # the frames keep tensors alive
            self.clear_gradients()
            snapshot.restore()
            release_memory(self.root_device)
            self.micro_batching.halve(batch, trainer.global_step, failure)

    @property
    def can_repeat_step(self) -> bool:
        """Whether a step can be repeated without a deadlock between ranks."""
        return world_size() == 1

    def run_micro_batches(self, batch: Any, batch_idx: int) -> Tensor:
        """Run all micro-batches and return the loss of the batch; the gradients are complete afterwards."""
        return self.accumulate(self.split(batch), batch_idx).total

    def split(self, batch: Any) -> list[dict[str, Any]]:
        """Split this rank's share of a batch into micro-batches."""
        if self.micro_batching.size is None and world_size() == 1:
            return [batch]
        parts = cut(batch, num_micro_batches(batch, self.micro_batching.size))
        set_weights(parts, batch, getattr(self.task, "loss_denominator", None))
        return parts

    def accumulate(self, parts: list[dict[str, Any]], batch_idx: int) -> LossSum:
        """Run the forward and backward pass of each micro-batch."""
        sums, share = LossSum(), self.share_of_update(parts, batch_idx)
        for part in parts:
            loss = self.forward_pass(part, batch_idx)
            sums.add(loss.detach(), self.task)
            super().backward(loss * share if share != 1.0 else loss, None)
        sums.store(self.task)
        return sums

    def forward_pass(self, part: dict[str, Any], batch_idx: int) -> Tensor:
        """Compute the loss of a micro-batch."""
        with self.precision_plugin.train_step_context():
            loss: Any = self.task.training_step(part, batch_idx)  # tasks return a tensor
            return loss

    def share_of_update(self, parts: list[dict[str, Any]], batch_idx: int) -> float:
        """Return the weight of a batch's gradient in its update.

        With ``accumulate_grad_batches`` this is the batch's share of the samples, otherwise one. Lightning
        2.6 divides by the number of batches, which is wrong if the last ones are fewer or smaller.
        """
        trainer = self.task.trainer
        every = trainer.accumulate_grad_batches
        if every == 1:
            return 1.0
        sampler = getattr(trainer.train_dataloader, "batch_sampler", None)
        if sampler is None or not hasattr(sampler, "size_of") or math.isinf(trainer.num_training_batches):
            return 1.0 / every
        first = batch_idx // every * every
        window = range(first, min(first + every, int(trainer.num_training_batches)))
        return sampler.size_of(batch_idx) / sum(map(sampler.size_of, window))

    def backward(self, closure_loss: Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Run the backward pass of Lightning's loop, which only synchronizes the ranks, if anything."""
        if not closure_loss.requires_grad:
            return closure_loss
        return super().backward(closure_loss, optimizer, *args, **kwargs)

    def clear_gradients(self) -> None:
        """Set all gradients to None."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)


class LossSum:
    """Adds up the losses of micro-batches.

    Attributes:
        total: loss of the batch.
        parts: terms of the loss by name, if the task provides them.
        count: number of micro-batches.
    """

    def __init__(self) -> None:
        self.total: Any = None
        self.parts: dict[str, Tensor] = {}
        self.count = 0

    def add(self, loss: Tensor, task: Any) -> None:
        """Add the loss of a micro-batch and its terms."""
        self.total = loss if self.total is None else self.total + loss
        for name, part in task.last_train_parts.items():
            self.parts[name] = self.parts[name] + part if name in self.parts else part
        self.count += 1

    def store(self, task: Any) -> None:
        """Store the sums as the last training loss of the task."""
        if self.count > 1:
            task.last_train_loss, task.last_train_parts = self.total, self.parts
