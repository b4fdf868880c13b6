"""Small images as sequences of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.data.images.array import ImageArrayDataModule
from runner.data.images.digits import DigitsDataModule
from runner.data.images.fashion_mnist import FashionMNISTDataModule
from runner.data.images.mnist import MNISTDataModule

__all__ = ["DigitsRowsDataModule", "FashionMNISTRowsDataModule", "MNISTRowsDataModule"]


class ReadByRow(ImageArrayDataModule):
    """Grey images as sequences ``(N, H, W)`` of rows, from top to bottom."""

    extra_facts = ("num_features", "vocab_size", "per_step")

    def setup(self, stage: str | None = None) -> None:
        if self.splits or stage == "predict":
            return
        super().setup(stage)
        _, height, width = self.image_shape
        extra = {"num_features": width, "vocab_size": 0, "per_step": False}
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
