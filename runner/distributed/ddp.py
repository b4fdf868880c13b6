"""The strategies of Lightning's trainer with micro-batches: single device and DDP; FSDP has its own file."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from runner.distributed.collectives import any_across_ranks, sum_tensor_over_ranks
from runner.distributed.fsdp import FSDP2Strategy
from runner.distributed.memory import is_out_of_memory, let_go
from runner.distributed.micro_batching import MicroBatching, MicroBatchingStrategy
from runner.distributed.process_info import ProcessInfo

__all__ = ["MicroBatchDDPStrategy", "OneDeviceStrategy", "trainer_options"]

PROVING_STEPS = 20
"""After this number of steps of an attempt, the memory is considered sufficient."""


class OneDeviceStrategy(MicroBatchingStrategy, SingleDeviceStrategy):
    """One device."""

    def __init__(self, passes: MicroBatching, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.passes = passes


class MicroBatchDDPStrategy(MicroBatchingStrategy, DDPStrategy):
    """DDP with micro-batches.

    In the first steps, which show whether memory suffices, gradients are reduced after all ranks have
    finished their backward passes, so that all ranks can repeat a step in which one ran out of memory.
    Afterwards gradients are reduced during the last backward pass, as usual in DDP, and an out-of-memory
    error ends the attempt. A model with parameters
    that are unused in a step keeps the late reduction: during a backward pass, ranks would wait for missing
        gradients.

    Args:
        waits_in_forward: whether the forward pass itself has collectives (synchronized norms).
    """

    def __init__(self, passes: MicroBatching, waits_in_forward: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.passes = passes
        self.waits_in_forward = waits_in_forward
        self.steps_to_prove = PROVING_STEPS
        self.has_unused = False
        self._unused: list[torch.nn.Parameter] = []

    @property
    def can_take_back(self) -> bool:
        return self.exchanges_late and not self.waits_in_forward

    @property
    def exchanges_late(self) -> bool:
        return self.has_unused or self.steps_to_prove > 0

    def in_passes(self, batch: Any, batch_idx: int) -> Tensor:
        parts = self.parts_of(batch)
        if self.exchanges_late:
            return self.then_exchange(parts, batch_idx)
        return self.with_exchange(parts, batch_idx)

    def then_exchange(self, parts: list[dict[str, Any]], batch_idx: int) -> Tensor:
        """Runs all micro-batches, then a backward pass with zero gradient that makes DDP reduce the
        gradients.
        """
        failure = None
        try:
            with self.model.no_sync():
                sums = self.go_through(parts, batch_idx)
        except (RuntimeError, MemoryError) as error:
            if not self.can_take_back or not is_out_of_memory(error):
                raise
            failure = error.with_traceback(None)
            let_go(self.root_device)
        unused = [] if failure else [p for p in self.trained_parameters() if p.grad is None]
        ran_out, any_unused = any_across_ranks(failure is not None, bool(unused))
        if ran_out:
            raise failure or torch.OutOfMemoryError("another device is out of memory")
        self.has_unused = self.has_unused or any_unused
        self._unused = self.used_by_none() if any_unused else []
        self.steps_to_prove -= 1
        return self._forward_redirection(self.model, self.lightning_module, "zero_loss", 0) + sums.total

    def used_by_none(self) -> list[torch.nn.Parameter]:
        """The parameters that have no gradient on any rank."""
        parameters = self.trained_parameters()
        used = torch.tensor(
            [p.grad is not None for p in parameters], dtype=torch.int32, device=self.root_device
        )
        counts = sum_tensor_over_ranks(used).tolist()
        return [p for p, count in zip(parameters, counts, strict=True) if not count]

    def with_exchange(self, parts: list[dict[str, Any]], batch_idx: int) -> Tensor:
        """Reduces gradients during the backward pass of the last micro-batch, as DDP does."""
        with self.model.no_sync():
            sums = self.go_through(parts[:-1], batch_idx)
        with self.precision_plugin.train_step_context():
            loss = self._forward_redirection(
                self.model, self.lightning_module, "training_step", parts[-1], batch_idx
            )
        sums.add(loss.detach(), self.lightning_module)
        sums.tell(self.lightning_module)
        every = self.lightning_module.trainer.accumulate_grad_batches  # the loop divides by it
        return loss * self.share_of_update(parts, batch_idx) * every + (sums.total - loss.detach())

    def backward(self, closure_loss: Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor:
        closure_loss = super().backward(closure_loss, optimizer, *args, **kwargs)
        for parameter in self._unused:  # None, because optimizers also act on zero gradients
            parameter.grad = None
        self._unused = []
        return closure_loss

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.lightning_module.parameters() if parameter.requires_grad]


def trainer_options(
    process_info: ProcessInfo, accelerator: str, passes: MicroBatching, hardware: dict[str, Any]
) -> dict[str, Any]:
    """Arguments of Lightning's trainer for devices, nodes and strategy, derived from the world size.

    Args:
        hardware: the config node.
    """
    if process_info.world_size == 1 and not (process_info.under_agent and hardware.get("strategy") == "fsdp"):
        device = {"gpu": "cuda:0", "mps": "mps:0"}.get(accelerator, "cpu")
        return {"devices": 1, "strategy": OneDeviceStrategy(passes, device=torch.device(device))}
    # Logged values are equal on all ranks, because the tasks reduce them themselves.
    warnings.filterwarnings(
        "ignore", message="It is recommended to use `self.log", module="pytorch_lightning"
    )
    backend = "nccl" if accelerator == "gpu" else "gloo"
    if hardware.get("strategy") == "fsdp":
        strategy = FSDP2Strategy(passes, process_group_backend=backend)
    else:
        waits = bool(hardware.get("sync_batchnorm"))
        strategy = MicroBatchDDPStrategy(passes, waits_in_forward=waits, process_group_backend=backend)
    return {
        "devices": process_info.local_world_size,
        "num_nodes": process_info.num_nodes,
        "strategy": strategy,
    }
