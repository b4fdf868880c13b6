"""Handwritten digits, 8 × 8 pixels, included in scikit-learn; small images as sequences of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Unpack

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from runner.data.base import split_indices
from runner.data.images.array import ImageArrayDataModule, ImageArrayOptions
from runner.data.images.mnist import FashionMNISTDataModule, MNISTDataModule
from runner.data.split import ArraySource

__all__ = ["DigitsDataModule", "DigitsRowsDataModule", "FashionMNISTRowsDataModule", "MNISTRowsDataModule"]


class DigitsDataModule(ImageArrayDataModule):
    """The UCI digits of scikit-learn, grey values 0 to 16 scaled to 0 to 255.

    The data set has no official test split: validation and test images are chosen at random, stratified by
    class. Mean and standard deviation are those of all 1797 images, independent of the split.

    Args:
        val_fraction, test_fraction: fractions of all images.
        split_seed: seed of the split.
    """

    title = "digits"
    class_names = tuple("0123456789")
    image_shape = (1, 8, 8)
    mean = (0.3053,)
    std = (0.3760,)

    def __init__(
        self,
        *,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        split_seed: Annotated[int, Ge(0)] = 0,
        **options: Unpack[ImageArrayOptions],
    ) -> None:
        super().__init__(**options)
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.split_seed = split_seed

    def read(self) -> dict[str, tuple[ArraySource, Tensor]]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images * (255 / 16)).round().to(torch.uint8)[:, None]
        source = ArraySource(images, torch.from_numpy(digits.target).long(), label="digit")
        train, val, test = split_indices(
            len(source), self.val_fraction, self.test_fraction, self.split_seed, labels=source.targets
        )
        train, val = self.fold(train, val, source.targets, source.name)
        return {"train": (source, train), "val": (source, val), "test": (source, test)}

    def source_name(self) -> str:
        return "sklearn.datasets.load_digits"


class ReadByRow(ImageArrayDataModule):
    """Grey images as sequences ``(N, H, W)`` of rows, from top to bottom."""

    extra_facts = ("num_features", "vocab_size", "per_step")

    def setup(self, stage: str | None = None) -> None:
        if self.splits or stage == "predict":
            return
        super().setup(stage)
        _, height, width = self.image_shape
        extra = {"num_features": width, "vocab_size": 0, "per_step": False}
        if self.facts is not None:
            self.facts = replace(self.facts, input_shape=(height, width), extra=self.facts.extra | extra)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        batch["inputs"] = batch["inputs"].squeeze(1)
        return batch


class DigitsRowsDataModule(ReadByRow, DigitsDataModule):
    """scikit-learn's digits: eight steps of eight pixels."""


class MNISTRowsDataModule(ReadByRow, MNISTDataModule):
    """MNIST: 28 steps of 28 pixels."""


class FashionMNISTRowsDataModule(ReadByRow, FashionMNISTDataModule):
    """Fashion-MNIST: 28 steps of 28 pixels."""
