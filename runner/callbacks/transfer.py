"""Transfer learning from pretrained weights: a frozen backbone, or fine-tuning at once or layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pytorch_lightning as pl
from annotated_types import Ge, Gt, Le
from torch import nn

from runner.callbacks.feature_cache import FeatureCache
from runner.callbacks.frozen_modules import KeepInEval, batch_norms, frozen_modules
from runner.errors import UserError
from runner.models.head import head_modules, split_parameters
from runner.models.layer_groups import layer_groups
from runner.optim.groups import set_lr_factor

__all__ = ["FineTune", "FrozenBackbone", "GradualUnfreezing"]


class FrozenBackbone(KeepInEval):
    """Trains the head alone. The rest keeps its weights and its batch-norm statistics, and drops nothing out.

    Args:
        cache_views: number of epochs' augmentations of the training images whose features are computed once,
            and on which the head trains in turn; 0 computes features in every epoch. Null is 1 if the inputs
            are the same in every epoch, otherwise 0.
    """

    def __init__(self, cache_views: Annotated[int, Ge(0)] | None = None) -> None:
        super().__init__()
        self.cache_views = cache_views
        self._cache: FeatureCache | None = None

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
        trained = {id(parameter) for module in head for parameter in module.parameters()}
        self.still = frozen_modules(pl_module.model, trained)
        self._cache = FeatureCache.for_training(trainer, pl_module, self.cache_views)
        if self._cache is not None:
            self._cache.prepare()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._cache is not None:
            self._cache.begin()

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
    """Trains the layers from the head back to the input: group by group, as a subclass says.

    Every group trains at its own share of the learning rate. Frozen groups are in evaluation mode.

    Args:
        layer_decay: learning rate of a group over that of the next group, towards the head.
        layer_groups: patterns of parameter names, one a group from the input on, the head is what is left;
            found by the model's structure when null.
        batch_norm: ``still`` keeps the backbone's batch-norm statistics throughout; ``train`` lets them
            follow the data where the layer trains.
    """

    option = ""

    def __init__(self, layer_decay: float, layer_groups: Sequence[str] | None, batch_norm: str) -> None:
        super().__init__()
        self.layer_decay = layer_decay
        self.patterns = layer_groups
        self.batch_norm = batch_norm
        self.groups: list[list[nn.Parameter]] = []
        self._ever_still: list[nn.Module] = []

    def num_trained(self, epoch: int) -> int:
        """Groups that train in an epoch, the head included."""
        raise TypeError(f"{type(self).__name__} must define num_trained()")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give each group its learning rate before the optimizer is built.

        Raises:
            UserError: the model is all head, or has none; or a pattern does not fit.
        """
        if stage != "fit":
            return
        model = pl_module.model
        _split(model, self.option)
        named = dict(model.named_parameters())
        self.groups = [[named[name] for name in group] for group in layer_groups(model, self.patterns)]
        for distance, group in enumerate(reversed(self.groups)):
            set_lr_factor(group, self.layer_decay**distance)
        self._ever_still = self._still_with(model, 1)

    def _still_with(self, model: nn.Module, num_trained: int) -> list[nn.Module]:
        trained = {id(parameter) for group in self.groups[-num_trained:] for parameter in group}
        still = frozen_modules(model, trained)
        if self.batch_norm == "still":
            head = {id(module) for part in head_modules(model) for module in part.modules()}
            still += [norm for norm in batch_norms(model.modules()) if id(norm) not in head]
        return still

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._enter(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._enter(trainer, pl_module)

    def _enter(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        num_trained = self.num_trained(trainer.current_epoch)
        self.still = self._still_with(pl_module.model, num_trained)
        for module in self._ever_still:
            module.training = True
        self._hold()
        if (
            trainer.world_size > 1
        ):  # DDP expects every registered gradient: they are dropped before the update
            return
        for group in self.groups[:-num_trained]:
            for parameter in group:
                parameter.requires_grad_(False)
        for group in self.groups[-num_trained:]:
            for parameter in group:
                parameter.requires_grad_(True)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        for group in self.groups[: -self.num_trained(trainer.current_epoch)]:
            for parameter in group:
                parameter.grad = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for group in self.groups:
            for parameter in group:
                parameter.requires_grad_(True)


class FineTune(Unfreezing):
    """The head alone first, then everything, the earlier layers at smaller rates (Howard and Gugger,
    fast.ai).

    Args:
        head_epochs: epochs of the head alone.
        layer_decay: see `Unfreezing`: with four groups of the backbone, 0.3 is a hundredth at the first
            layers.
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
    """The head first, then one more group of layers every few epochs (Howard and Ruder, "ULMFiT", 2018).

    Args:
        every_epochs: epochs between two groups.
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
        lacks = "no backbone: all of it is its head" if head else "no head: no linear layer was found in it"
        raise UserError(
            f"transfer={option}: {type(model).__name__} has {lacks}. Take transfer=scratch, or another model."
        )
    return backbone, head_modules(model)
