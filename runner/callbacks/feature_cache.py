"""Computes the features of a frozen backbone once and trains the head on them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional
from torch.utils.data import DataLoader

from runner.callbacks import lightning_internals
from runner.callbacks.batch_mix import BatchMix
from runner.callbacks.feature_cost import FeatureProgress
from runner.callbacks.lightning_internals import task_of
from runner.callbacks.noise import InputNoise
from runner.callbacks.range_test import RangeTestRecorder
from runner.data.sampler import EpochBatchSampler, Share
from runner.data.split import Split, make_loader
from runner.distributed.collectives import all_gather
from runner.errors import UserError
from runner.models.head import head_modules
from runner.report import console

__all__ = ["FeatureCache", "could_cache_views"]

SPLITS = ("train", "val")
RANGE_TEST_FEATURES = "features_of_range_test"
"""Attribute of the data module with the features of a range test, reused by the training that follows it."""


class FeatureSplit(Split):
    """A split whose inputs are features; epoch e uses view e modulo the number of views.

    Args:
        split: the split the features are computed from.

    Attributes:
        features: ``(views, n, F)``, filled before the first batch.
        targets: ``(n, …)``.
    """

    def __init__(self, split: Split) -> None:
        super().__init__(split.source, split.indices, seed=split.seed)
        self.original = split
        self.features = torch.empty(0)
        self.targets = torch.empty(0)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        positions = torch.tensor([position for _, position in keys])
        view = keys[0][0] % len(self.features)
        batch: dict[str, Any] = {
            "inputs": self.features[view, positions],
            "targets": self.targets[positions],
        }
        batch["index"] = self.indices[positions]
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch


class HeadForward:
    """A model's ``forward`` that passes features ``(N, F)`` through the head only."""

    def __init__(self, model: nn.Module, head: nn.Module) -> None:
        self.model = model
        self.head = head
        self.original_forward = model.forward

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(inputs, Tensor) or inputs.ndim != 2:
            return self.original_forward(inputs, *args, **kwargs)
        if callable(getattr(self.model, "get_classifier", None)):  # timm has dropout between pooling and head
            inputs = functional.dropout(inputs, getattr(self.model, "drop_rate", 0.0), self.model.training)
        return self.head(inputs)


class FeatureCache:
    """Replaces the inputs by features during training.

    ``prepare`` replaces the splits before Lightning creates its loaders; ``begin`` computes the features once
    the model is on its device.

    Args:
        trainer: the trainer.
        pl_module: the task; its model has a frozen backbone.
        head: the part of the model that is trained.
        views: number of epochs whose augmentations are computed.
    """

    def __init__(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, head: nn.Module, views: int
    ) -> None:
        self.trainer = trainer
        self.data = lightning_internals.data_module_of(trainer)
        self.task = task_of(pl_module)
        self.head = head
        self.views = views
        self._splits: dict[str, FeatureSplit] = {}
        self._normalize: nn.Module | None = None

    @classmethod
    def for_training(
        cls, trainer: pl.Trainer, pl_module: pl.LightningModule, views: int | None
    ) -> FeatureCache | None:
        """Return a cache, or None if features are computed in every epoch.

        Args:
            trainer: the trainer.
            pl_module: the task; its model has a frozen backbone.
            views: ``transfer.cache_views``.

        Raises:
            UserError: a cache was requested, but is impossible or would have no effect.
        """
        data = getattr(trainer, "datamodule", None)
        augmented = getattr(data, "augment", None) is not None
        if views == 0 or (views is None and (augmented or data is None)):
            return None
        if views is not None and views > 1 and not augmented:
            raise UserError(
                f"transfer.cache_views={views}: the inputs are the same in every epoch, so all views would "
                "be equal. Use cache_views=1, or enable an augmentation."
            )
        obstacle = obstacle_to(trainer, pl_module)
        if obstacle is None:
            return cls(trainer, pl_module, head_modules(task_of(pl_module).model)[0], views or 1)
        if views is not None:
            raise UserError(f"transfer.cache_views={views}: {obstacle}. Use cache_views=0.")
        return None

    def prepare(self) -> None:
        """Replace train and val by splits for features, which are still empty."""
        splits = self.data.splits
        self._splits = {name: FeatureSplit(splits[name]) for name in SPLITS if len(splits.get(name, ()))}
        splits.update(self._splits)

    def begin(self) -> None:
        """Compute the features of train and val and make the task train on them.

        Raises:
            UserError: the input of the head is not one vector per sample.
        """
        data, model = self.data, self.task.model
        callbacks = lightning_internals.callbacks_of(self.trainer)
        in_range_test = any(isinstance(callback, RangeTestRecorder) for callback in callbacks)
        stored = vars(data).pop(RANGE_TEST_FEATURES, {})
        key = (
            (*self._splits, self.views, backbone_digest(model, self.head)) if in_range_test or stored else ()
        )
        if key in stored:
            console.text("features of the frozen backbone: those of the learning-rate range test")
            self._fill(stored[key])
        else:
            views = f", {self.views} views of train" if self.views > 1 else ""
            counts = " + ".join(str(len(split)) for split in self._splits.values())
            console.text(f"features of the frozen backbone, once: {counts} samples{views}")
            num_views = {name: self.views if name == "train" else 1 for name in self._splits}
            batches = sum(
                num_views[name] * len(self._loader(split.original)) for name, split in self._splits.items()
            )
            with FeatureProgress(batches) as progress:
                self._fill(
                    {n: self._features(s.original, num_views[n], progress) for n, s in self._splits.items()}
                )
        if in_range_test:
            features = {name: (split.features, split.targets) for name, split in self._splits.items()}
            setattr(data, RANGE_TEST_FEATURES, {key: features})
        self._normalize, data.normalize = data.normalize, nn.Identity()
        model.forward = HeadForward(model, self.head)

    def end(self) -> None:
        """Restore the splits, the normalization and the model's ``forward``."""
        self.data.splits.update({name: split.original for name, split in self._splits.items()})
        if self._normalize is not None:
            self.data.normalize, self._normalize = self._normalize, None
            del self.task.model.forward

    def _fill(self, features: dict[str, tuple[Tensor, Tensor]]) -> None:
        for name, split in self._splits.items():
            split.features, split.targets = features[name]

    def _features(self, split: Split, num_views: int, progress: FeatureProgress) -> tuple[Tensor, Tensor]:
        views = [self._view(split, view, progress) for view in range(num_views)]
        return torch.stack([features for features, _ in views]), views[0][1]

    def _loader(self, split: Split) -> DataLoader:
        data = self.data
        return make_loader(
            split, data.eval_batch_size, seed=data.seed, num_workers=data.num_workers, rank=data.rank,
            world_size=data.world_size,
        )  # fmt: skip

    def _view(self, split: Split, view: int, progress: FeatureProgress) -> tuple[Tensor, Tensor]:
        """Compute the features of one view, in the order of the split.

        Each rank computes its share; all ranks get the features of all samples.
        """
        loader = self._loader(split)
        if isinstance(loader.batch_sampler, EpochBatchSampler):
            loader.batch_sampler.set_epoch(view)
        positions = {int(index): position for position, index in enumerate(split.indices)}
        parts: list[tuple[list[int], Tensor, Tensor]] = []
        with captured(self.head) as head_inputs, in_eval(self.task.model), torch.no_grad():
            for cpu_batch in loader:
                batch = self.trainer.strategy.batch_to_device(cpu_batch, dataloader_idx=0)
                with self.trainer.precision_plugin.forward_context():
                    self.task(batch["inputs"])
                features = head_inputs.pop()
                if features.ndim != 2:
                    raise UserError(
                        f"transfer.cache_views: the head takes {tuple(features.shape[1:])} per sample, but "
                        "only vectors can be cached. Use cache_views=0."
                    )
                batch_positions = [positions[int(index)] for index in batch["index"]]
                parts.append((batch_positions, features.cpu(), batch["targets"].cpu()))
                progress.advance()
        gathered = [part for rank in all_gather(parts) for part in rank]
        order = torch.tensor([position for part in gathered for position in part[0]]).argsort()
        features = torch.cat([part[1] for part in gathered])[order]
        return features, torch.cat([part[2] for part in gathered])[order]


def backbone_digest(model: nn.Module, head: nn.Module) -> str:
    """Compute the SHA-256 of the names and values of a backbone's parameters and buffers."""
    head_tensors = {id(tensor) for tensor in (*head.parameters(), *head.buffers())}
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if id(tensor) not in head_tensors:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.device}".encode())
            local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
            digest.update(local.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class captured:
    """Context manager that collects the inputs of a module, newest last."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.inputs: list[Tensor] = []

    def __enter__(self) -> list[Tensor]:
        self.handle = self.module.register_forward_pre_hook(
            lambda module, inputs: self.inputs.append(inputs[0])
        )
        return self.inputs

    def __exit__(self, *exception: Any) -> None:
        self.handle.remove()


class in_eval:
    """Context manager that sets all modules to evaluation mode and restores their modes afterwards."""

    def __init__(self, model: nn.Module) -> None:
        self.modes = {module: module.training for module in model.modules()}

    def __enter__(self) -> None:
        for module in self.modes:
            module.training = False

    def __exit__(self, *exception: Any) -> None:
        for module, mode in self.modes.items():
            module.training = mode


def could_cache_views(trainer: pl.Trainer, pl_module: pl.LightningModule) -> bool:
    """Return whether the training images are augmented and features of their views could be cached.

    The model must be on the CPU.
    """
    if getattr(getattr(trainer, "datamodule", None), "augment", None) is None:
        return False
    callbacks = lightning_internals.callbacks_of(trainer)
    in_range_test = any(isinstance(callback, RangeTestRecorder) for callback in callbacks)
    return not in_range_test and obstacle_to(trainer, pl_module) is None


def obstacle_to(trainer: pl.Trainer, pl_module: pl.LightningModule) -> str | None:
    """Return why features cannot replace the inputs of this training; None if they can."""
    model = task_of(pl_module).model
    name, heads = type(model).__name__, head_modules(model)
    if len(heads) != 1 or not hasattr(lightning_internals.data_module_of(trainer), "eval_batch_size"):
        return f"the head of {name} is not a single module that takes features"
    if model._compiled_call_impl is not None:
        return "features cannot be fed to the head of a compiled model"
    callbacks = lightning_internals.callbacks_of(trainer)
    if any(isinstance(callback, BatchMix | InputNoise) for callback in callbacks):
        return "mixup, cutmix and input_noise change the inputs of every step"
    if not feeds_head_alone(trainer, pl_module, heads[0]):
        return f"the output of {name} is not the output of its head for one vector of features"
    return None


@torch.no_grad()
def feeds_head_alone(trainer: pl.Trainer, pl_module: pl.LightningModule, head: nn.Module) -> bool:
    """Return whether the output of the head is that of the model, tested with two samples on the CPU."""
    data = lightning_internals.data_module_of(trainer)
    split = data.splits["train"]
    batch = split.__getitems__([(0, i) for i in range(min(2, len(split)))])
    if not isinstance(batch.get("inputs"), Tensor) or not isinstance(batch.get("targets"), Tensor):
        return False
    batch = data.on_after_batch_transfer(batch, 0)
    with captured(head) as head_inputs, in_eval(task_of(pl_module).model):
        output: Any = pl_module(batch["inputs"])
        if not head_inputs or head_inputs[-1].ndim != 2 or not isinstance(output, Tensor):
            return False
        head_only: Callable[..., Any] = head  # the next call must not be taken for one with captured inputs
        return torch.equal(head_only(head_inputs[-1]), output)
