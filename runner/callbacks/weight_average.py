"""Averages the weights during training and recomputes the batch-norm statistics of the average."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from runner.callbacks.lightning_internals import data_module_of, task_of
from runner.data.sampler import seed_of
from runner.distributed.collectives import world_size

__all__ = ["WeightAverage", "measure_statistics", "training_norms"]


def training_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms that update their statistics, which excludes those of a frozen backbone."""
    return [
        m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and m.running_mean is not None
    ]


def measure_statistics(
    trainer: pl.Trainer, pl_module: pl.LightningModule, norms: list[_BatchNorm], max_batches: int, seed: int
) -> None:
    """Set mean and variance of ``norms`` to those of the first training batches of epoch 0.

    The modes of all modules and the random state are restored afterwards.

    Args:
        trainer: the trainer.
        pl_module: the task.
        norms: batch norms to measure.
        max_batches: maximum number of training batches.
        seed: seed of random draws in the model.
    """
    if not norms:
        return
    modes = {module: module.training for module in pl_module.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    for module in pl_module.modules():
        module.training = not isinstance(module, _BatchNorm) or module in momenta
    try:
        with torch.random.fork_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
            torch.manual_seed(seed_of(seed, "batch norm", trainer.global_step))
            for batch in islice(train_batches(trainer), max_batches):
                task_of(pl_module).compute_loss(trainer.strategy.batch_to_device(batch, dataloader_idx=0))
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum in momenta.items():
            norm.momentum = momentum
    if world_size() > 1:
        for norm in norms:
            for buffer in (norm.running_mean, norm.running_var):
                if buffer is not None:
                    dist.all_reduce(buffer)
                    buffer.div_(world_size())


def train_batches(trainer: pl.Trainer) -> Iterable[Any]:
    """Return a separate train loader in this process: the trainer's loader is in the middle of an epoch."""
    data = data_module_of(trainer)
    workers, data.num_workers = data.num_workers, 0
    try:
        return data.train_dataloader()
    finally:
        data.num_workers = workers


KEY = "weight_average"
WARM_UP = 10
"""Number of steps after which the initial weights contribute at most a tenth, for any decay."""

# Lightning 2.6 has EMAWeightAveraging; ours stays because it also averages the weights of last epochs (SWA),
# recomputes batch-norm statistics for the average and stores both sets of weights for exact resume.


class WeightAverage(pl.Callback):
    """Exponential moving average of the weights (EMA), or mean over the last epochs (SWA).

    SWA: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018.

    Validation uses the average with recomputed batch-norm statistics. The ``state_dict`` of a checkpoint is
    the average; the raw weights, from which training resumes, are stored separately.

    Args:
        ema: decay of the moving average after every update; lower in the first steps, to reduce the influence
            of the initial weights.
        swa: fraction of the training after which the weights at the end of each epoch enter a plain mean;
            used if ``ema`` is None.
        seed: seed of random draws in the model while its batch-norm statistics are computed.
        max_batches: maximum number of training batches for the batch-norm statistics.
    """

    def __init__(self, ema: float | None, swa: float | None, seed: int, max_batches: int = 50) -> None:
        self.ema = ema
        self.swa = swa
        self.seed = seed
        self.max_batches = max_batches
        self.average: dict[str, Tensor] = {}
        self.count = 0
        self._raw: dict[str, Tensor] = {}
        self._norms: list[Any] = []
        self._statistics: dict[str, Tensor] = {}
        self._step = 0

    # The average

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._step = trainer.global_step
        self.average = {name: tensor.to(pl_module.device) for name, tensor in self.average.items()}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0 or not self._norms:
            self._norms = training_norms(task_of(pl_module).model)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        if self.ema or (self._ends_epoch(trainer, batch_idx) and self._is_late(trainer)):
            self._update(task_of(pl_module).model)

    def _ends_epoch(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        return batch_idx + 1 == trainer.num_training_batches or trainer.global_step == trainer.max_steps

    def _is_late(self, trainer: pl.Trainer) -> bool:
        return trainer.global_step > (self.swa or 0.0) * trainer.estimated_stepping_batches

    @torch.no_grad()
    def _update(self, model: nn.Module) -> None:
        current = dict(model.named_parameters())
        if not self.average:
            self.average = {name: weight.detach().clone() for name, weight in current.items()}
        share = 1 / (self.count + 1)
        if self.ema:
            share = 1 - min(self.ema, (1 + self.count) / (WARM_UP + self.count))
        torch._foreach_lerp_(
            list(self.average.values()), [current[name].detach() for name in self.average], share
        )
        self.count += 1

    # Its use

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING or not self.average:
            return
        model = task_of(pl_module).model
        self._raw = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        load_tensors(model, self.average)
        measure_statistics(trainer, pl_module, self._norms, self.max_batches, self.seed)
        measured = {id(norm) for norm in self._norms}
        self._statistics = {
            f"{path}.{name}": buffer.detach().clone()
            for path, module in model.named_modules()
            if id(module) in measured
            for name, buffer in module.named_buffers(recurse=False)
        }

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._raw:
            load_tensors(task_of(pl_module).model, self._raw)
            self._raw = {}

    # Checkpoints

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store average and raw weights, also within a validation, when the model holds the average."""
        if not self.average:
            return
        raw = self._raw or dict(task_of(pl_module).model.state_dict())
        averaged = raw | self._statistics | self.average
        kept = {name: tensor.detach().cpu().clone() for name, tensor in raw.items()}
        checkpoint[KEY] = {"raw": kept, "count": self.count, "statistics": dict(self._statistics)}
        checkpoint["state_dict"] = checkpoint["state_dict"] | {
            f"model.{name}": tensor.detach().cpu().clone() for name, tensor in averaged.items()
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        state = checkpoint.get(KEY)
        if trainer.state.fn != TrainerFn.FITTING or state is None:
            return
        model = task_of(pl_module).model
        parameters = dict(model.named_parameters())
        self.average = {name: checkpoint["state_dict"][f"model.{name}"].clone() for name in parameters}
        self.count, self._statistics = state["count"], state["statistics"]
        load_tensors(model, state["raw"])


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy tensors into the model's parameters and buffers of the same names."""
    state = model.state_dict()
    for name, tensor in tensors.items():
        state[name].copy_(tensor)
