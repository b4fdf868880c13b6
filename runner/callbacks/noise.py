"""Noise on inputs and on weights, in training only, as a function of seed, epoch and batch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from runner.data.sampler import seed_of
from runner.distributed.collectives import current_rank
from runner.errors import UserError
from runner.optim.groups import weight_names

__all__ = ["InputNoise", "WeightNoise", "normal_like"]


def normal_like(tensor: Tensor, *place: int | str) -> Tensor:
    """Standard normal numbers of the tensor's shape, drawn on the CPU so that they are equal on every device.
    For a tensor sharded over ranks, each rank gets its shard.
    """
    generator = torch.Generator().manual_seed(seed_of(*place))
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(
        tensor.device, tensor.dtype
    )
    return (
        distribute_tensor(noise, tensor.device_mesh, tensor.placements)
        if isinstance(tensor, DTensor)
        else noise
    )


class InputNoise(pl.Callback):
    """Adds normal noise to the normalised inputs (Bishop 1995).

    Args:
        std: of the noise, in the unit of the normalised inputs.
        seed: determines the noise together with epoch and batch.

    Raises:
        UserError: the inputs are not real-valued (tokens).
    """

    def __init__(self, std: float, seed: int) -> None:
        self.std = std
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx
    ) -> None:
        place = (self.seed, "input noise", trainer.current_epoch, batch_idx, current_rank())
        inputs = batch["inputs"]
        if isinstance(inputs, Tensor):
            batch["inputs"] = self._noisy(inputs, *place)
        else:
            batch["inputs"] = [self._noisy(one, *place, i) for i, one in enumerate(inputs)]

    def _noisy(self, inputs: Any, *place: int | str) -> Tensor:
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            kind = (
                str(inputs.dtype).removeprefix("torch.")
                if isinstance(inputs, Tensor)
                else type(inputs).__name__
            )
            raise UserError(
                f"regularization.input_noise={self.std:g}: the inputs are {kind}, and noise is only for "
                "real numbers. "
                "Remove this option."
            )
        return inputs + self.std * normal_like(inputs, *place)


class WeightNoise(pl.Callback):
    """Adds normal noise to the weights for the gradient computation and removes it before the update (Graves
    2011).

    All batches of an update and all ranks use the same noise. Biases, norms and gains have none.

    Args:
        std: of the noise, as a part of each weight tensor's own standard deviation.
        seed: determines the noise together with the step.
    """

    def __init__(self, std: float, seed: int) -> None:
        self.std = std
        self.seed = seed
        self._clean: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx
    ) -> None:
        if self._clean:
            return
        with torch.no_grad():
            weights = weight_names(pl_module.model)
            for name, weight in pl_module.model.named_parameters():
                if weight.requires_grad and name in weights:
                    self._clean.append((weight, weight.detach().clone()))
                    noise = normal_like(weight, self.seed, "weight noise", trainer.global_step, name)
                    whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
                    weight.add_(noise, alpha=self.std * float(whole.std(correction=0)))

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        self._restore()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._restore()

    def _restore(self) -> None:
        with torch.no_grad():
            for weight, clean in self._clean:
                weight.copy_(clean)
        self._clean = []
