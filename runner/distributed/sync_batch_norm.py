"""Synchronized batch normalization on the CPU; ``nn.SyncBatchNorm`` of torch 2.15 works on GPUs only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.modules.batchnorm import _BatchNorm

from runner.distributed.collectives import world_size
from runner.errors import ConfigError, Problem

__all__ = ["CPUSyncBatchNorm", "sync_batch_norms"]


class CPUSyncBatchNorm(_BatchNorm):
    """Normalizes ``(N, C, …)`` with the mean and variance over the samples of all ranks."""

    def _check_input_dim(self, inputs: Tensor) -> None:
        if inputs.dim() < 2:
            raise ValueError(f"expected at least 2 dimensions, got {inputs.dim()}")

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.training or world_size() == 1:
            return super().forward(inputs)
        self._check_input_dim(inputs)
        axes = [axis for axis in range(inputs.dim()) if axis != 1]
        values = inputs.float()
        count = values.new_full((1,), values.numel() / values.shape[1])
        total, number = all_reduce(torch.cat([values.sum(axes), count])).split([values.shape[1], 1])
        mean = total / number
        shape = [1, -1, *(1 for _ in axes[1:])]
        squares = all_reduce((values - mean.view(shape)).square().sum(axes))
        variance = squares / number
        self.update_statistics(mean.detach(), variance.detach(), float(number))
        normalized = (values - mean.view(shape)) * torch.rsqrt(variance.view(shape) + self.eps)
        if self.affine:
            normalized = normalized * self.weight.view(shape) + self.bias.view(shape)
        return normalized.to(inputs.dtype)

    @torch.no_grad()
    def update_statistics(self, mean: Tensor, variance: Tensor, number: float) -> None:
        """Update the running statistics.

        Args:
            mean: mean of a batch, ``(C,)``.
            variance: biased variance of a batch, ``(C,)``.
            number: number of values per channel.
        """
        counter, running_mean, running_var = self.num_batches_tracked, self.running_mean, self.running_var
        if not self.track_running_stats or running_mean is None or running_var is None or counter is None:
            return
        counter.add_(1)
        share = 1 / float(counter) if self.momentum is None else self.momentum
        running_mean.lerp_(mean, share)
        running_var.lerp_(variance * number / max(number - 1, 1), share)


def sync_batch_norms(model: nn.Module, accelerator: str) -> nn.Module:
    """Return the model with its batch norms synchronized over all ranks.

    Args:
        model: the model.
        accelerator: ``gpu`` for torch's ``SyncBatchNorm``.

    Raises:
        ConfigError: the model has no batch norm.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        text = f"hardware.sync_batchnorm=true would have no effect: {type(model).__name__} has no batch norm."
        raise ConfigError(Problem("hardware.sync_batchnorm", text, "no_effect", "Remove it."))
    if accelerator == "gpu":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for norm in norms:
        norm.__class__ = CPUSyncBatchNorm
    return model
