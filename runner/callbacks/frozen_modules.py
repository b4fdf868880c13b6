"""Modules that are kept in evaluation mode while others train."""

from __future__ import annotations

from collections.abc import Iterable, Set

import pytorch_lightning as pl
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["KeepInEval", "batch_norms", "frozen_modules"]


class KeepInEval(pl.Callback):
    """Keeps some modules in evaluation mode while the others train.

    The trainer keeps the modes of modules when it validates in between; a task that sets its own
    (``on_validation_model_train``) does not, hence the look at every batch.
    """

    def __init__(self) -> None:
        self.still: list[nn.Module] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._hold()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._hold()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch, batch_idx: int
    ) -> None:
        if self.still and self.still[0].training:
            self._hold()

    def _hold(self) -> None:
        for module in self.still:
            module.training = False


def batch_norms(modules: Iterable[nn.Module]) -> Iterable[nn.Module]:
    return (module for module in modules if isinstance(module, _BatchNorm))


def frozen_modules(model: nn.Module, trained: Set[int]) -> list[nn.Module]:
    """Modules none of whose parameters train; one without parameters is as what it stands in.

    Args:
        trained: ``id`` of each parameter that trains.
    """
    found: list[nn.Module] = []

    def visit(module: nn.Module, inherited: bool) -> None:
        parameters = list(module.parameters())
        frozen = not any(id(parameter) in trained for parameter in parameters) if parameters else inherited
        if frozen:
            found.append(module)
        for child in module.children():
            visit(child, frozen)

    visit(model, False)
    return found
