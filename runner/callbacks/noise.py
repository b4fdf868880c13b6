"""Adds noise to inputs or weights during training, as a function of seed, epoch and batch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from runner.callbacks.lightning_internals import task_of
from runner.data.sampler import seed_of
from runner.distributed.collectives import current_rank
from runner.errors import UserError
from runner.optim.groups import weight_names

__all__ = ["InputNoise", "WeightNoise", "normal_like"]


def normal_like(tensor: Tensor, *seed: int | str) -> Tensor:
    """Draw standard normal numbers with the shape, dtype and device of a tensor.

    They are drawn on the CPU, so they are the same on every device. For a tensor sharded over ranks, each
    rank gets its shard.

    Args:
        tensor: a floating-point tensor.
        seed: values that determine the numbers.
    """
    generator = torch.Generator().manual_seed(seed_of(*seed))
    noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(
        tensor.device, tensor.dtype
    )
    return (
        distribute_tensor(noise, tensor.device_mesh, tensor.placements)
        if isinstance(tensor, DTensor)
        else noise
    )


class InputNoise(pl.Callback):
    """Adds normal noise to the normalized inputs.

    Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", 1995.

    Args:
        std: standard deviation of the noise, in the unit of the normalized inputs.
        seed: determines the noise, together with epoch and batch.

    Raises:
        UserError: the inputs are not real-valued, such as tokens.
    """

    def __init__(self, std: float, seed: int) -> None:
        self.std = std
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seed = (self.seed, "input noise", trainer.current_epoch, batch_idx, current_rank())
        inputs = batch["inputs"]
        if isinstance(inputs, Tensor):
            batch["inputs"] = self._noisy(inputs, *seed)
        else:
            batch["inputs"] = [self._noisy(sample, *seed, i) for i, sample in enumerate(inputs)]

    def _noisy(self, inputs: Any, *seed: int | str) -> Tensor:
        if not isinstance(inputs, Tensor) or not inputs.is_floating_point():
            kind = (
                str(inputs.dtype).removeprefix("torch.")
                if isinstance(inputs, Tensor)
                else type(inputs).__name__
            )
            raise UserError(
                f"regularization.input_noise={self.std:g}: the inputs are {kind}, but noise requires "
                "real-valued inputs. Remove this option."
            )
        return inputs + self.std * normal_like(inputs, *seed)


class WeightNoise(pl.Callback):
    """Adds normal noise to the weights for the gradient computation and removes it before the update.

    Graves, "Practical Variational Inference for Neural Networks", 2011. All batches of an update and all
    ranks use the same noise. Biases, norm layers and gains get none.

    Args:
        std: standard deviation of the noise, relative to that of each weight tensor.
        seed: determines the noise, together with the step.
    """

    def __init__(self, std: float, seed: int) -> None:
        self.std = std
        self.seed = seed
        self._clean: list[tuple[Tensor, Tensor]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._clean:
            return
        with torch.no_grad():
            model = task_of(pl_module).model
            weights = weight_names(model)
            for name, weight in model.named_parameters():
                if weight.requires_grad and name in weights:
                    self._clean.append((weight, weight.detach().clone()))
                    noise = normal_like(weight, self.seed, "weight noise", trainer.global_step, name)
                    whole = weight.full_tensor() if isinstance(weight, DTensor) else weight
                    weight.add_(noise, alpha=self.std * float(whole.std(correction=0)))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
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
