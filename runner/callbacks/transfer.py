"""Transfer learning: a frozen backbone, fine-tuning of all layers, or gradual unfreezing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pytorch_lightning as pl
from annotated_types import Ge, Gt, Le
from torch import nn
from torch.optim import Optimizer

from runner.callbacks.feature_cache import FeatureCache, could_cache_views
from runner.callbacks.feature_cost import cost_message
from runner.callbacks.frozen_modules import KeepInEval, batch_norms, frozen_modules
from runner.callbacks.lightning_internals import task_of
from runner.errors import UserError
from runner.models.head import head_modules, split_parameters
from runner.models.layer_groups import layer_groups
from runner.optim.groups import set_lr_factor
from runner.report import console

__all__ = ["FineTune", "FrozenBackbone", "GradualUnfreezing"]


class FrozenBackbone(KeepInEval):
    """Trains only the head. The backbone keeps its weights and batch-norm statistics, and has no dropout.

    Args:
        cache_views: number of augmented views of the training images whose features are computed once and
            used in turn by the epochs; 0 computes features in every epoch. If null, 1 if the inputs are the
            same in every epoch, otherwise 0.
    """

    def __init__(self, cache_views: Annotated[int, Ge(0)] | None = None) -> None:
        super().__init__()
        self.cache_views = cache_views
        self._cache: FeatureCache | None = None
        self._can_cache_views = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Freeze the backbone before the optimizer is built.

        Raises:
            UserError: the model has no backbone or no head.
        """
        if stage != "fit":
            return
        model = task_of(pl_module).model
        backbone, head = _split(model, "frozen")
        for parameter in backbone:
            parameter.requires_grad_(False)
        trained = {id(parameter) for module in head for parameter in module.parameters()}
        self.eval_modules = frozen_modules(model, trained)
        self._cache = FeatureCache.for_training(trainer, pl_module, self.cache_views)
        if self._cache is not None:
            self._cache.prepare()
        elif self.cache_views is None:
            self._can_cache_views = could_cache_views(trainer, pl_module)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._cache is not None:
            self._cache.begin()
        elif self._can_cache_views:
            console.text(cost_message(trainer, pl_module))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._cache is not None:
            self._cache.end()
            self._cache = None


class Unfreezing(KeepInEval):
    """Trains layer groups from the head towards the input, at times defined by subclasses.

    Every group has its own fraction of the learning rate. Frozen groups are in evaluation mode.

    Args:
        layer_decay: learning rate of a group divided by that of the next group towards the head.
        layer_groups: patterns of parameter names, one per group, starting at the input; all other parameters
            belong to the head. If null, the groups follow from the model's structure.
        batch_norm: ``still`` always keeps the batch-norm statistics of the backbone; ``train`` updates those
            of the groups that are trained.

    Attributes:
        option: name of the option, for messages.
        groups: parameters of each group, starting at the input.
    """

    option = ""

    def __init__(self, layer_decay: float, layer_groups: Sequence[str] | None, batch_norm: str) -> None:
        super().__init__()
        self.layer_decay = layer_decay
        self.patterns = layer_groups
        self.batch_norm = batch_norm
        self.groups: list[list[nn.Parameter]] = []
        self._largest_eval_set: list[nn.Module] = []

    def num_trained(self, epoch: int) -> int:
        """Return the number of groups trained in an epoch, including the head."""
        raise TypeError(f"{type(self).__name__} must define num_trained()")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Assign learning rates to the groups before the optimizer is built.

        Raises:
            UserError: the model has no backbone or no head, or a pattern matches no parameter.
        """
        if stage != "fit":
            return
        model = task_of(pl_module).model
        _split(model, self.option)
        named = dict(model.named_parameters())
        self.groups = [[named[name] for name in group] for group in layer_groups(model, self.patterns)]
        for distance, group in enumerate(reversed(self.groups)):
            set_lr_factor(group, self.layer_decay**distance)
        self._largest_eval_set = self._eval_modules_for(model, 1)

    def _eval_modules_for(self, model: nn.Module, num_trained: int) -> list[nn.Module]:
        trained = {id(parameter) for group in self.groups[-num_trained:] for parameter in group}
        modules = frozen_modules(model, trained)
        if self.batch_norm == "still":
            head = {id(module) for part in head_modules(model) for module in part.modules()}
            modules += [norm for norm in batch_norms(model.modules()) if id(norm) not in head]
        return modules

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start_epoch(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start_epoch(trainer, pl_module)

    def _start_epoch(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        num_trained = self.num_trained(trainer.current_epoch)
        self.eval_modules = self._eval_modules_for(task_of(pl_module).model, num_trained)
        for module in self._largest_eval_set:
            module.training = True
        self._set_eval()
        if trainer.world_size > 1:
            return  # DDP expects all gradients; those of frozen groups are dropped before the update
        for group in self.groups[:-num_trained]:
            for parameter in group:
                parameter.requires_grad_(False)
        for group in self.groups[-num_trained:]:
            for parameter in group:
                parameter.requires_grad_(True)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        for group in self.groups[: -self.num_trained(trainer.current_epoch)]:
            for parameter in group:
                parameter.grad = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for group in self.groups:
            for parameter in group:
                parameter.requires_grad_(True)


class FineTune(Unfreezing):
    """Trains the head first, then all layers, with lower learning rates for earlier layers.

    Howard and Gugger, "fastai: A Layered API for Deep Learning", 2020.

    Args:
        head_epochs: number of epochs in which only the head is trained.
        layer_decay: see `Unfreezing`; with four groups in the backbone, 0.3 gives the first layers about a
            hundredth of the learning rate.
        layer_groups: see `Unfreezing`.
        batch_norm: see `Unfreezing`.
    """

    option = "finetune"

    def __init__(
        self,
        head_epochs: Annotated[int, Ge(0)] = 1,
        layer_decay: Annotated[float, Gt(0), Le(1)] = 0.3,
        layer_groups: Sequence[str] | None = None,
        batch_norm: Literal["still", "train"] = "still",
    ) -> None:
        super().__init__(layer_decay, layer_groups, batch_norm)
        self.head_epochs = head_epochs

    def num_trained(self, epoch: int) -> int:
        return 1 if epoch < self.head_epochs else len(self.groups)


class GradualUnfreezing(Unfreezing):
    """Trains the head first, then one more group of layers every few epochs.

    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018.

    Args:
        every_epochs: number of epochs between two groups.
        layer_decay: see `Unfreezing`.
        layer_groups: see `Unfreezing`.
        batch_norm: see `Unfreezing`.
    """

    option = "gradual"

    def __init__(
        self,
        every_epochs: Annotated[int, Ge(1)] = 1,
        layer_decay: Annotated[float, Gt(0), Le(1)] = 0.4,
        layer_groups: Sequence[str] | None = None,
        batch_norm: Literal["still", "train"] = "still",
    ) -> None:
        super().__init__(layer_decay, layer_groups, batch_norm)
        self.every_epochs = every_epochs

    def num_trained(self, epoch: int) -> int:
        return min(len(self.groups), 1 + epoch // self.every_epochs)


def _split(model: nn.Module, option: str) -> tuple[list[nn.Parameter], list[nn.Module]]:
    backbone, head = split_parameters(model)
    if not backbone or not head:
        reason = "no backbone: it consists of its head" if head else "no head: it has no linear layer"
        raise UserError(
            f"transfer={option}: {type(model).__name__} has {reason}. Use transfer=scratch, or another model."
        )
    return backbone, head_modules(model)
