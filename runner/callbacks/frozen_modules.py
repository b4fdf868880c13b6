"""Modules that are kept in evaluation mode while others train."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["KeepInEval", "batch_norms", "frozen_modules"]


class KeepInEval(pl.Callback):
    """Keeps some modules in evaluation mode while the others train.

    Lightning restores the modes of modules after a validation, but a task that overrides
    ``on_validation_model_train`` may not; hence the check at every batch.

    Attributes:
        eval_modules: the modules kept in evaluation mode.
    """

    def __init__(self) -> None:
        self.eval_modules: list[nn.Module] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._set_eval()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._set_eval()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self.eval_modules and self.eval_modules[0].training:
            self._set_eval()

    def _set_eval(self) -> None:
        for module in self.eval_modules:
            module.training = False


def batch_norms(modules: Iterable[nn.Module]) -> Iterable[nn.Module]:
    """Select the batch-norm layers."""
    return (module for module in modules if isinstance(module, _BatchNorm))


def frozen_modules(model: nn.Module, trained: Set[int]) -> list[nn.Module]:
    """Collect the modules without trained parameters.

    A module that has no parameters counts as frozen if its parent is.

    Args:
        model: the model.
        trained: ``id`` of each parameter that is trained.
    """
    collected: list[nn.Module] = []

    def visit(module: nn.Module, inherited: bool) -> None:
        parameters = list(module.parameters())
        frozen = not any(id(parameter) in trained for parameter in parameters) if parameters else inherited
        if frozen:
            collected.append(module)
        for child in module.children():
            visit(child, frozen)

    visit(model, False)
    return collected
