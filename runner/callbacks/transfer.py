"""Training that starts from weights learnt elsewhere: the backbone frozen, or tuned gently."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import pytorch_lightning as pl
from annotated_types import Gt, Le
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from runner.errors import UserError
from runner.models.head import head_modules, split_parameters
from runner.optim.groups import set_lr_factor

__all__ = ["FineTune", "FrozenBackbone"]


class StillModules(pl.Callback):
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


class FrozenBackbone(StillModules):
    """Trains the head alone. The rest keeps its weights and its batch-norm statistics, and drops nothing out."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Freeze before the optimizer is built.

        Raises:
            UserError: the model is all head, or has none.
        """
        if stage != "fit":
            return
        backbone, head = _split(pl_module.model, "frozen")
        for parameter in backbone:
            parameter.requires_grad_(False)
        trained = {id(module) for part in head for module in part.modules()}
        self.still = [
            module
            for module in pl_module.model.modules()
            if id(module) not in trained and not any(id(child) in trained for child in module.modules())
        ]


class FineTune(StillModules):
    """Trains everything, the backbone at a part of the learning rate and with its batch-norm statistics kept.

    Args:
        backbone_lr_factor: the backbone's learning rate over the head's.
    """

    def __init__(self, backbone_lr_factor: Annotated[float, Gt(0), Le(1)] = 0.1):
        super().__init__()
        self.backbone_lr_factor = backbone_lr_factor

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Mark the backbone before the optimizer is built.

        Raises:
            UserError: the model is all head, or has none.
        """
        if stage != "fit":
            return
        backbone, head = _split(pl_module.model, "finetune")
        set_lr_factor(backbone, self.backbone_lr_factor)
        fresh = {id(module) for part in head for module in part.modules()}
        self.still = [norm for norm in _batch_norms(pl_module.model.modules()) if id(norm) not in fresh]


def _split(model: nn.Module, option: str) -> tuple[list[nn.Parameter], list[nn.Module]]:
    backbone, head = split_parameters(model)
    if not backbone or not head:
        lacks = "no backbone: all of it is its head" if head else "no head: no linear layer was found in it"
        raise UserError(
            f"transfer={option}: {type(model).__name__} has {lacks}. Take transfer=scratch, or another model."
        )
    return backbone, head_modules(model)


def _batch_norms(modules: Iterable[nn.Module]) -> Iterable[nn.Module]:
    return (module for module in modules if isinstance(module, _BatchNorm))
