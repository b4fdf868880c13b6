"""What a frozen backbone makes of the data, computed once: the head then trains on that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

from runner.callbacks.batch_mix import BatchMix
from runner.callbacks.noise import InputNoise
from runner.callbacks.range_test import RangeTestRecorder
from runner.data.sampler import Share
from runner.data.split import Split, make_loader
from runner.distributed.collectives import all_gather
from runner.errors import UserError
from runner.models.head import head_modules
from runner.report import console

__all__ = ["FeatureCache"]

SPLITS = ("train", "val")
KEPT = "features_of_range_test"
"""Attribute of the data module: what a range test computed, by what it was made from, until the training
after it.
"""


class FeatureSplit(Split):
    """A split whose inputs are features: those of epoch e are of view e modulo their number.

    Args:
        split: whose samples they are of.

    Attributes:
        features: ``(views, n, F)``, filled in before the first batch.
        targets: ``(n, …)``.
    """

    def __init__(self, split: Split) -> None:
        super().__init__(split.source, split.indices, seed=split.seed)
        self.whole = split
        self.features = self.targets = torch.empty(0)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, Any]:
        positions = torch.tensor([position for _, position in keys])
        view = keys[0][0] % len(self.features)
        batch = {"inputs": self.features[view, positions], "targets": self.targets[positions]}
        batch["index"] = self.indices[positions]
        if isinstance(keys, Share):
            batch["weight"] = keys.weight
        return batch


class HeadForward:
    """A model's ``forward`` that takes features too: ``(N, F)`` go through the head alone."""

    def __init__(self, model: nn.Module, head: nn.Module) -> None:
        self.model = model
        self.head = head
        self.whole = model.forward

    def __call__(self, inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(inputs, Tensor) or inputs.ndim != 2:
            return self.whole(inputs, *args, **kwargs)
        if callable(getattr(self.model, "get_classifier", None)):  # timm drops out between pooling and head
            inputs = functional.dropout(inputs, getattr(self.model, "drop_rate", 0.0), self.model.training)
        return self.head(inputs)


class FeatureCache:
    """Replaces the inputs by features during training.

    The splits are exchanged before Lightning makes its loaders, and filled when the model is on its device.

    Args:
        views: epochs whose augmentations are kept.
    """

    def __init__(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, head: nn.Module, views: int
    ) -> None:
        self.trainer = trainer
        self.task = pl_module
        self.head = head
        self.views = views
        self._splits: dict[str, FeatureSplit] = {}
        self._normalize: nn.Module | None = None

    @classmethod
    def for_training(
        cls, trainer: pl.Trainer, pl_module: pl.LightningModule, views: int | None
    ) -> FeatureCache | None:
        """None where features are to be computed in every epoch.

        Raises:
            UserError: a cache is asked for where it cannot be, or where it would change nothing.
        """
        data = getattr(trainer, "datamodule", None)
        augmented = getattr(data, "augment", None) is not None
        if views == 0 or (views is None and (augmented or data is None)):
            return None
        if views is not None and views > 1 and not augmented:
            raise UserError(
                f"transfer.cache_views={views}: the inputs are the same in every epoch, so all views would "
                "be equal. "
                "Take cache_views=1, or turn an augmentation on."
            )
        obstacle = obstacle_to(trainer, pl_module)
        if obstacle is None:
            return cls(trainer, pl_module, head_modules(pl_module.model)[0], views or 1)
        if views is not None:
            raise UserError(f"transfer.cache_views={views}: {obstacle}. Take cache_views=0.")
        return None

    def prepare(self) -> None:
        """Replaces train and val by splits for features, which are still empty."""
        splits = self.trainer.datamodule.splits
        self._splits = {name: FeatureSplit(splits[name]) for name in SPLITS if len(splits.get(name, ()))}
        splits.update(self._splits)

    def begin(self) -> None:
        """Computes the features of train and val, and lets the task train on them.

        Raises:
            UserError: what goes into the head is not one row of numbers a sample.
        """
        data, model = self.trainer.datamodule, self.task.model
        in_range_test = any(isinstance(callback, RangeTestRecorder) for callback in self.trainer.callbacks)
        kept = vars(data).pop(KEPT, {})
        made_from = (
            (*self._splits, self.views, backbone_digest(model, self.head)) if in_range_test or kept else ()
        )
        if made_from in kept:
            console.text("features of the frozen backbone: those of the learning-rate range test")
            self._fill(kept[made_from])
        else:
            views = f", {self.views} views of train" if self.views > 1 else ""
            counts = " + ".join(str(len(split)) for split in self._splits.values())
            console.text(f"features of the frozen backbone, once: {counts} samples{views}")
            self._fill(
                {
                    n: self._features(s.whole, self.views if n == "train" else 1)
                    for n, s in self._splits.items()
                }
            )
        if in_range_test:
            setattr(data, KEPT, {made_from: {n: (s.features, s.targets) for n, s in self._splits.items()}})
        self._normalize, data.normalize = data.normalize, nn.Identity()
        model.forward = HeadForward(model, self.head)

    def end(self) -> None:
        """Everything as before."""
        data = self.trainer.datamodule
        data.splits.update({name: split.whole for name, split in self._splits.items()})
        if self._normalize is not None:
            data.normalize, self._normalize = self._normalize, None
            del self.task.model.forward

    def _fill(self, features: dict[str, tuple[Tensor, Tensor]]) -> None:
        for name, split in self._splits.items():
            split.features, split.targets = features[name]

    def _features(self, split: Split, views: int) -> tuple[Tensor, Tensor]:
        rows = [self._view(split, view) for view in range(views)]
        return torch.stack([features for features, _ in rows]), rows[0][1]

    def _view(self, split: Split, view: int) -> tuple[Tensor, Tensor]:
        """Each rank goes through its share; all get the features of all, in the order of the split."""
        data = self.trainer.datamodule
        loader = make_loader(
            split, data.eval_batch_size, seed=data.seed, num_workers=data.num_workers, rank=data.rank,
            world_size=data.world_size,
        )  # fmt: skip
        loader.batch_sampler.set_epoch(view)
        positions = {int(index): position for position, index in enumerate(split.indices)}
        parts: list[tuple[list[int], Tensor, Tensor]] = []
        with captured(self.head) as seen, in_eval(self.task.model), torch.no_grad():
            for batch in loader:
                batch = self.trainer.strategy.batch_to_device(batch, dataloader_idx=0)
                with self.trainer.precision_plugin.forward_context():
                    self.task(batch["inputs"])
                features = seen.pop()
                if features.ndim != 2:
                    raise UserError(
                        f"transfer.cache_views: the head takes {tuple(features.shape[1:])} a sample, and "
                        "features are "
                        "kept as one row. Take cache_views=0."
                    )
                places = [positions[int(index)] for index in batch["index"]]
                parts.append((places, features.cpu(), batch["targets"].cpu()))
        ranks = [part for rank in all_gather(parts) for part in rank]
        order = torch.tensor([place for places, _, _ in ranks for place in places]).argsort()
        return torch.cat([part[1] for part in ranks])[order], torch.cat([part[2] for part in ranks])[order]


def backbone_digest(model: nn.Module, head: nn.Module) -> str:
    """Of all that a frozen backbone computes with: its parameters and statistics, by name."""
    of_head = {id(tensor) for tensor in (*head.parameters(), *head.buffers())}
    digest = hashlib.sha256()
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if id(tensor) not in of_head:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {tensor.device}".encode())
            own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
            digest.update(own.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class captured:
    """What goes into a module while this lasts, newest last."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.seen: list[Tensor] = []

    def __enter__(self) -> list[Tensor]:
        self.handle = self.module.register_forward_pre_hook(
            lambda module, inputs: self.seen.append(inputs[0])
        )
        return self.seen

    def __exit__(self, *exception: Any) -> None:
        self.handle.remove()


class in_eval:
    """All modules in evaluation mode while this lasts, then each as it was."""

    def __init__(self, model: nn.Module) -> None:
        self.modes = {module: module.training for module in model.modules()}

    def __enter__(self) -> None:
        for module in self.modes:
            module.training = False

    def __exit__(self, *exception: Any) -> None:
        for module, mode in self.modes.items():
            module.training = mode


def obstacle_to(trainer: pl.Trainer, pl_module: pl.LightningModule) -> str | None:
    """Why features cannot stand for the inputs of this training."""
    heads = head_modules(pl_module.model)
    if len(heads) != 1 or not hasattr(trainer.datamodule, "eval_batch_size"):
        return f"the head of {type(pl_module.model).__name__} is not one module with features before it"
    if pl_module.model._compiled_call_impl is not None:
        return "a compiled model cannot be entered at its head"
    if any(isinstance(callback, BatchMix | InputNoise) for callback in trainer.callbacks):
        return "mixup, cutmix and input_noise change the inputs of every step"
    if not feeds_head_alone(trainer, pl_module, heads[0]):
        return (
            f"what {type(pl_module.model).__name__} puts out is not what its head makes of one row of "
            "features"
        )
    return None


@torch.no_grad()
def feeds_head_alone(trainer: pl.Trainer, pl_module: pl.LightningModule, head: nn.Module) -> bool:
    """Whether the head's own output, from what goes into it, is the model's; tried on two samples, on the
    CPU.
    """
    split = trainer.datamodule.splits["train"]
    batch = split.__getitems__([(0, i) for i in range(min(2, len(split)))])
    if not isinstance(batch.get("inputs"), Tensor) or not isinstance(batch.get("targets"), Tensor):
        return False
    batch = trainer.datamodule.on_after_batch_transfer(batch, 0)
    with captured(head) as seen, in_eval(pl_module.model):
        whole: Any = pl_module(batch["inputs"])
        if not seen or seen[-1].ndim != 2 or not isinstance(whole, Tensor):
            return False
        alone: Callable[..., Any] = head
        return torch.equal(alone(seen[-1]), whole)
