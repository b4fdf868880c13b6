"""How Lightning's trainer carries out the steps: on one device, on copies of the model, or on its shards."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from runner.devices.memory import is_out_of_memory, let_go
from runner.devices.shards import ShardsStrategy
from runner.devices.steps import Passes, StepsInPasses
from runner.ranks.exchange import any_rank, sum_tensor_over_ranks
from runner.ranks.place import Place

__all__ = ["CopiesStrategy", "OneDeviceStrategy", "trainer_options"]

PROVING_STEPS = 20
"""So many steps of an attempt show whether the memory is enough."""


class OneDeviceStrategy(StepsInPasses, SingleDeviceStrategy):
    """One device."""

    def __init__(self, passes: Passes, **kwargs: Any):
        super().__init__(**kwargs)
        self.passes = passes


class CopiesStrategy(StepsInPasses, DDPStrategy):
    """A copy of the model on each device.

    In the first steps, which show whether the memory is enough, the ranks exchange gradients when all have done their
    part, so that one that runs out of memory can take the others back with it. From then on the exchange goes on during
    the last backward pass, and memory that runs out ends the attempt. A model with parameters that a step leaves unused
    stays with the first way: during a backward pass, ranks would wait for gradients that never come.

    Args:
        waits_in_forward: the forward pass itself waits for other ranks (norms over the whole batch).
    """

    def __init__(self, passes: Passes, waits_in_forward: bool = False, **kwargs: Any):
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
        """All passes, then a backward pass that adds nothing to the gradients and lets DDP exchange them."""
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
        ran_out, any_unused = any_rank(failure is not None, bool(unused))
        if ran_out:
            raise failure or torch.OutOfMemoryError("another device is out of memory")
        self.has_unused = self.has_unused or any_unused
        self._unused = self.used_by_none() if any_unused else []
        self.steps_to_prove -= 1
        return self._forward_redirection(self.model, self.lightning_module, "meeting", 0) + sums.total

    def used_by_none(self) -> list[torch.nn.Parameter]:
        """Parameters without a gradient on any rank."""
        parameters = self.trained_parameters()
        used = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=self.root_device)
        counts = sum_tensor_over_ranks(used).tolist()
        return [p for p, count in zip(parameters, counts, strict=True) if not count]

    def with_exchange(self, parts: list[dict[str, Any]], batch_idx: int) -> Tensor:
        """DDP's own way: the exchange goes on during the last pass's backward."""
        with self.model.no_sync():
            sums = self.go_through(parts[:-1], batch_idx)
        with self.precision_plugin.train_step_context():
            loss = self._forward_redirection(self.model, self.lightning_module, "training_step", parts[-1], batch_idx)
        sums.add(loss.detach(), self.lightning_module)
        sums.tell(self.lightning_module)
        every = self.lightning_module.trainer.accumulate_grad_batches  # by which the loop is going to divide
        return loss * self.share_of_update(parts, batch_idx) * every + (sums.total - loss.detach())

    def backward(self, closure_loss: Tensor, optimizer: Any, *args: Any, **kwargs: Any) -> Tensor:
        closure_loss = super().backward(closure_loss, optimizer, *args, **kwargs)
        for parameter in self._unused:  # no gradient, rather than one of zeros that an optimizer would act on
            parameter.grad = None
        self._unused = []
        return closure_loss

    def trained_parameters(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.lightning_module.parameters() if parameter.requires_grad]


def trainer_options(place: Place, accelerator: str, passes: Passes, hardware: dict[str, Any]) -> dict[str, Any]:
    """Devices, nodes and strategy, from the number of processes there are.

    Args:
        hardware: the config's node.
    """
    if place.world_size == 1 and not (place.under_agent and hardware.get("strategy") == "fsdp"):
        device = {"gpu": "cuda:0", "mps": "mps:0"}.get(accelerator, "cpu")
        return {"devices": 1, "strategy": OneDeviceStrategy(passes, device=torch.device(device))}
    # What is logged is the same on every rank: the tasks add the ranks up themselves.
    warnings.filterwarnings("ignore", message="It is recommended to use `self.log", module="pytorch_lightning")
    backend = "nccl" if accelerator == "gpu" else "gloo"
    if hardware.get("strategy") == "fsdp":
        strategy = ShardsStrategy(passes, process_group_backend=backend)
    else:
        waits = bool(hardware.get("sync_batchnorm"))
        strategy = CopiesStrategy(passes, waits_in_forward=waits, process_group_backend=backend)
    return {
        "devices": place.local_world_size,
        "num_nodes": place.num_nodes,
        "strategy": strategy,
    }
