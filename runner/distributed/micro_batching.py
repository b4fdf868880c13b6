"""Training steps with micro-batches, retried with smaller micro-batches after an out-of-memory error."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from runner.distributed.collectives import world_size
from runner.distributed.memory import Before, is_out_of_memory, let_go
from runner.distributed.split_batch import cut, num_passes, set_weights, shares
from runner.errors import OutOfMemory

__all__ = ["MicroBatching", "MicroBatchingStrategy"]

log = logging.getLogger("runner.memory")


@dataclass
class MicroBatching:
    """The size of micro-batches.

    Attributes:
        size: samples in a micro-batch, on each device; None for the device's whole share of the batch.
        halves: whether an out-of-memory error halves it.
    """

    size: int | None = None
    halves: bool = True

    def halve(self, batch: dict[str, Any], step: int, error: BaseException) -> None:
        """Halves the micro-batch from here on; the same size on every rank.

        Raises:
            OutOfMemory: it is already a single sample.
        """
        parts = num_passes(batch, self.size)
        now = -(-shares(batch)[1] // parts)
        reason = str(error).partition("\n")[0]
        if now == 1:
            raise OutOfMemory(
                f"step {step}: a single sample does not fit into memory ({reason}). Use a smaller model or "
                "input, or "
                "hardware.activation_checkpointing=true."
            )
        self.size = now // 2
        log.warning(
            "step %d: out of memory with a micro-batch of %d samples (%s). This step is repeated with "
            "micro-batches of %d, "
            "which are also used from now on; the batch size does not change.", step, now, reason, self.size,
        )  # fmt: skip


class MicroBatchingStrategy:
    """A mixin for Lightning's strategies.

    Each micro-batch does its forward and backward pass within ``training_step``, and the gradients are
    accumulated. The loop's own backward pass then has nothing left to do, or only synchronizes the ranks. A
    step that runs out of memory is undone and repeated with smaller micro-batches: weights, random states,
    running statistics and counts are restored.

    Attributes:
        passes: the micro-batch size.
        clears_gradients: tells the loop not to clear gradients, which would be too late.
    """

    passes: MicroBatching
    clears_gradients = True

    def training_step(self, batch: Any, batch_idx: int, *args: Any) -> Tensor:
        trainer = self.lightning_module.trainer
        begins = batch_idx % trainer.accumulate_grad_batches == 0
        takes_back = self.passes.halves and begins and self.can_take_back
        if begins:
            self.clear_gradients()
        while True:
            before = Before(self.lightning_module, self.root_device) if takes_back else None
            try:
                return self.in_passes(batch, batch_idx)
            except (RuntimeError, MemoryError) as error:
                if before is None or not is_out_of_memory(error):
                    raise
                failure = error.with_traceback(None)  # the frames keep tensors alive
            self.clear_gradients()
            before.restore()
            let_go(self.root_device)
            self.passes.halve(batch, trainer.global_step, failure)

    @property
    def can_take_back(self) -> bool:
        """Whether a step can be repeated without a deadlock between ranks."""
        return world_size() == 1

    def in_passes(self, batch: Any, batch_idx: int) -> Tensor:
        """Runs all micro-batches and returns the batch's loss; the gradients are complete afterwards."""
        return self.go_through(self.parts_of(batch), batch_idx).total

    def parts_of(self, batch: Any) -> list[dict[str, Any]]:
        task = self.lightning_module
        if self.passes.size is None and world_size() == 1:
            return [batch]
        parts = cut(batch, num_passes(batch, self.passes.size))
        set_weights(parts, batch, getattr(task, "loss_denominator", None))
        return parts

    def go_through(self, parts: list[dict[str, Any]], batch_idx: int) -> Sums:
        """Runs the forward and backward pass of each micro-batch."""
        sums, share = Sums(), self.share_of_update(parts, batch_idx)
        for part in parts:
            loss = self.forward_pass(part, batch_idx)
            sums.add(loss.detach(), self.lightning_module)
            super().backward(loss * share if share != 1.0 else loss, None)
        sums.tell(self.lightning_module)
        return sums

    def forward_pass(self, part: dict[str, Any], batch_idx: int) -> Tensor:
        with self.precision_plugin.train_step_context():
            return self.lightning_module.training_step(part, batch_idx)

    def share_of_update(self, parts: list[dict[str, Any]], batch_idx: int) -> float:
        """The weight of a batch's gradient in its update: one, or with ``accumulate_grad_batches`` its share
        of the samples. Lightning 2.6 divides by the number of batches, which is wrong if the last ones are
        fewer or smaller.
        """
        trainer = self.lightning_module.trainer
        every = trainer.accumulate_grad_batches
        if every == 1:
            return 1.0
        sampler = getattr(trainer.train_dataloader, "batch_sampler", None)
        if not hasattr(sampler, "size_of") or trainer.num_training_batches == float("inf"):
            return 1.0 / every
        first = batch_idx // every * every
        window = range(first, min(first + every, int(trainer.num_training_batches)))
        return sampler.size_of(batch_idx) / sum(map(sampler.size_of, window))

    def backward(self, closure_loss: Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Called by the loop; the micro-batches have already done their backward passes."""
        if not closure_loss.requires_grad:
            return closure_loss
        return super().backward(closure_loss, optimizer, *args, **kwargs)

    def clear_gradients(self) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)


class Sums:
    """Accumulates the losses of micro-batches into the batch's loss."""

    def __init__(self) -> None:
        self.total: Any = None
        self.parts: dict[str, Tensor] = {}
        self.count = 0

    def add(self, loss: Tensor, task: Any) -> None:
        self.total = loss if self.total is None else self.total + loss
        for name, part in task.last_train_parts.items():
            self.parts[name] = self.parts[name] + part if name in self.parts else part
        self.count += 1

    def tell(self, task: Any) -> None:
        if self.count > 1:
            task.last_train_loss, task.last_train_parts = self.total, self.parts
