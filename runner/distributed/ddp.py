"""Lightning strategies with micro-batches for a single device and DDP; FSDP has its own file."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from runner.distributed.collectives import any_across_ranks, sum_tensor_over_ranks
from runner.distributed.fsdp import FSDP2Strategy
from runner.distributed.memory import is_out_of_memory, release_memory
from runner.distributed.micro_batching import LossSum, MicroBatching, MicroBatchingStrategy
from runner.distributed.process_info import ProcessInfo

__all__ = ["MicroBatchDDPStrategy", "OneDeviceStrategy", "trainer_options"]

PROVING_STEPS = 20
"""Number of steps of an attempt after which the memory is considered sufficient."""


class OneDeviceStrategy(MicroBatchingStrategy, SingleDeviceStrategy):
    """Strategy for one device, with micro-batches."""

    def __init__(self, micro_batching: MicroBatching, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.micro_batching = micro_batching


class MicroBatchDDPStrategy(MicroBatchingStrategy, DDPStrategy):
    """DDP with micro-batches.

    In the first steps, which show whether memory suffices, gradients are reduced after all ranks have
    finished their backward passes, so that all ranks can repeat a step in which one ran out of memory.
    Afterwards gradients are reduced during the last backward pass, as usual in DDP, and an out-of-memory
    error ends the attempt. A model with parameters that are unused in a step keeps the late reduction: during
    a backward pass, ranks would wait for missing gradients.

    Args:
        micro_batching: size of the micro-batches.
        waits_in_forward: whether the forward pass itself has collectives (synchronized norms).
    """

    def __init__(self, micro_batching: MicroBatching, waits_in_forward: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.micro_batching = micro_batching
        self.waits_in_forward = waits_in_forward
        self.steps_to_prove = PROVING_STEPS
        self.has_unused = False
        self._unused: list[torch.nn.Parameter] = []

    @property
    def can_repeat_step(self) -> bool:
        """Whether a step can be repeated without a deadlock between ranks."""
        return self.reduces_late and not self.waits_in_forward

    @property
    def reduces_late(self) -> bool:
        """Whether gradients are reduced after all micro-batches instead of during the last one."""
        return self.has_unused or self.steps_to_prove > 0

    def run_micro_batches(self, batch: Any, batch_idx: int) -> Tensor:
        parts = self.split(batch)
        if self.reduces_late:
            return self.reduce_afterwards(parts, batch_idx)
        return self.reduce_in_last(parts, batch_idx)

    def no_sync(self) -> AbstractContextManager[None]:
        """Return a context in which DDP does not reduce gradients."""
        assert isinstance(self.model, DistributedDataParallel)  # Lightning wraps the module before training
        return self.model.no_sync()

    def reduce_afterwards(self, parts: list[dict[str, Any]], batch_idx: int) -> Tensor:
        """Run all micro-batches and return a loss whose backward pass only makes DDP reduce the gradients.

        Raises:
            OutOfMemoryError: this or another rank ran out of memory; the step can be repeated.
        """
        failure = None
        sums = LossSum()
        try:
            with self.no_sync():
                sums = self.accumulate(parts, batch_idx)
        except (RuntimeError, MemoryError) as error:
            if not self.can_repeat_step or not is_out_of_memory(error):
                raise
            failure = error.with_traceback(None)
            release_memory(self.root_device)
        unused = [] if failure else [p for p in self.trained_parameters() if p.grad is None]
        ran_out, any_unused = any_across_ranks(failure is not None, bool(unused))
        if ran_out:
            raise failure or torch.OutOfMemoryError("another device is out of memory")
        self.has_unused = self.has_unused or any_unused
        self._unused = self.unused_parameters() if any_unused else []
        self.steps_to_prove -= 1
        return self.forward_of_task("zero_loss", 0) + sums.total

    def forward_of_task(self, method: str, *args: Any) -> Tensor:
        """Call a method of the task through the forward pass of DDP, which prepares the reduction."""
        assert self.model is not None and self.lightning_module is not None  # set before training
        output: Any = self._forward_redirection(self.model, self.lightning_module, method, *args)
        return output

    def unused_parameters(self) -> list[torch.nn.Parameter]:
        """Return the parameters that have no gradient on any rank."""
        parameters = self.trained_parameters()
        used = torch.tensor(
            [p.grad is not None for p in parameters], dtype=torch.int32, device=self.root_device
        )
        counts = sum_tensor_over_ranks(used).tolist()
        return [p for p, count in zip(parameters, counts, strict=True) if not count]

    def reduce_in_last(self, parts: list[dict[str, Any]], batch_idx: int) -> Tensor:
        """Run all micro-batches; DDP reduces the gradients in the backward pass of the last one."""
        with self.no_sync():
            sums = self.accumulate(parts[:-1], batch_idx)
        with self.precision_plugin.train_step_context():
            loss = self.forward_of_task("training_step", parts[-1], batch_idx)
        sums.add(loss.detach(), self.task)
        sums.store(self.task)
        every = self.task.trainer.accumulate_grad_batches  # Lightning's loop divides by it
        return loss * self.share_of_update(parts, batch_idx) * every + (sums.total - loss.detach())

    def backward(self, closure_loss: Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor:
        closure_loss = super().backward(closure_loss, optimizer, *args, **kwargs)
        for parameter in self._unused:  # None, since optimizers also act on zero gradients
            parameter.grad = None
        self._unused = []
        return closure_loss

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        """Return the parameters that are not frozen."""
        return [parameter for parameter in self.task.parameters() if parameter.requires_grad]


def trainer_options(
    process_info: ProcessInfo, accelerator: str, micro_batching: MicroBatching, hardware: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of Lightning's trainer for devices, nodes and strategy.

    Args:
        process_info: rank of this process, and the world size.
        accelerator: ``cpu``, ``gpu`` or ``mps``.
        micro_batching: size of the micro-batches.
        hardware: the config node ``hardware``.
    """
    if process_info.world_size == 1 and not (process_info.under_agent and hardware.get("strategy") == "fsdp"):
        device = {"gpu": "cuda:0", "mps": "mps:0"}.get(accelerator, "cpu")
        return {"devices": 1, "strategy": OneDeviceStrategy(micro_batching, device=torch.device(device))}
    # Logged values are equal on all ranks, since the tasks reduce them themselves.
    warnings.filterwarnings(
        "ignore", message="It is recommended to use `self.log", module="pytorch_lightning"
    )
    backend = "nccl" if accelerator == "gpu" else "gloo"
    if hardware.get("strategy") == "fsdp":
        strategy: Strategy = FSDP2Strategy(micro_batching, process_group_backend=backend)
    else:
        waits = bool(hardware.get("sync_batchnorm"))
        strategy = MicroBatchDDPStrategy(
            micro_batching, waits_in_forward=waits, process_group_backend=backend
        )
    return {
        "devices": process_info.local_world_size,
        "num_nodes": process_info.num_nodes,
        "strategy": strategy,
    }
