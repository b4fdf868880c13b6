"""MixUp and CutMix: blends images with others of their batch, and their classes accordingly."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from runner.data.sampler import seed_of
from runner.data.split import seeded

__all__ = ["BatchMix", "is_mixable"]


class BatchMix(pl.Callback):
    """Mixes every training batch with MixUp or CutMix (Zhang et al. 2017, Yun et al. 2019).

    The mixing ratio is the same on all ranks; each rank mixes within its own share of the batch. Targets
    become probabilities ``(N, C)``, or ``(N,)`` probabilities of the second class if the model has a single
    logit.

    Args:
        mixup, cutmix: parameter of the Beta distribution of the mixing ratio; 0 disables the method.
        epochs: number of epochs with mixing; None mixes until the end.
        num_classes: number of classes.
        one_logit: convert the targets to the probability of the second class.
        seed: determines the random draws, together with epoch and batch.
    """

    def __init__(
        self, mixup: float, cutmix: float, epochs: int | None, num_classes: int, one_logit: bool, seed: int
    ) -> None:
        transforms: list[nn.Module] = []
        if mixup:
            transforms.append(v2.MixUp(alpha=float(mixup), num_classes=num_classes))
        if cutmix:
            transforms.append(v2.CutMix(alpha=float(cutmix), num_classes=num_classes))
        self.mix = v2.RandomChoice(transforms)
        self.epochs = epochs
        self.one_logit = one_logit
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        epoch = trainer.current_epoch
        if (self.epochs is not None and epoch >= self.epochs) or not is_mixable(batch):
            return
        with seeded(seed_of(self.seed, "mix", epoch, batch_idx)), torch.no_grad():
            inputs, targets = self.mix(batch["inputs"], batch["targets"])
        batch["inputs"], batch["targets"] = inputs, targets[:, 1] if self.one_logit else targets


def is_mixable(batch: dict[str, Any]) -> bool:
    """Return whether the batch holds images ``(N, C, H, W)`` and class ids ``(N,)``."""
    inputs, targets = batch.get("inputs"), batch.get("targets")
    return (
        isinstance(inputs, Tensor)
        and inputs.ndim == 4
        and inputs.is_floating_point()
        and isinstance(targets, Tensor)
        and targets.ndim == 1
        and not targets.is_floating_point()
    )
