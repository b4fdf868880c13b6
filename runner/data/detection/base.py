"""Base class of object detection data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Unpack

import numpy as np
import torch
from annotated_types import Gt
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from runner.data.base import DataModule, LoaderOptions
from runner.data.detection.source import ToUnit, collate_boxes
from runner.data.detection.transform import BoxAugment, without_crowd
from runner.data.images.augment import ImageAugment
from runner.data.images.brightness import WhiteLevel
from runner.data.images.decode import read_new_image
from runner.data.images.tree import image_files
from runner.data.measurements import Measurements
from runner.data.split import Source, Split

__all__ = ["DetectionDataModule", "DetectionOptions"]


class DetectionOptions(LoaderOptions, total=False):
    """Keyword arguments that subclasses forward to ``DetectionDataModule``."""

    augment: ImageAugment | None
    can_flip: bool


class DetectionDataModule(WhiteLevel, DataModule):
    """Images with boxes, in batches ``{"inputs": [(3, H, W), …], "targets": [{boxes, labels, …}, …]}``.

    Args:
        augment: random augmentation of training images; None disables it.
        can_flip: whether mirroring preserves the class of an object.
    """

    extra_facts = ("shorter_side", "longer_side")

    def __init__(
        self,
        *,
        augment: ImageAugment | None = None,
        can_flip: bool = True,
        batch_size: Annotated[int, Gt(0)] = 4,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.augment = augment
        self.can_flip = can_flip
        self.normalize = ToUnit()

    def make_split(self, name: str, source: Source, indices: Sequence[int] | Tensor) -> Split:
        """Return a split whose samples are augmented if it is ``train``."""
        transform: Callable | None = None
        if name == "train":
            transform = without_crowd if self.augment is None else BoxAugment(self.augment, self.can_flip)
        return Split(source, indices, transform, self.seed, collate_boxes)

    def measurements(self) -> Measurements:
        facts = self.require_facts().extra
        sides = [facts.get("shorter_side"), facts.get("longer_side")]
        return Measurements(image_sizes=np.array([sides]) if all(sides) else None)

    def transfer_batch_to_device(
        self, batch: dict[str, Any], device: torch.device, dataloader_idx: int
    ) -> dict[str, Any]:
        if device.type == "mps":  # MPS does not support double precision
            batch["targets"] = [target | {"boxes": target["boxes"].float()} for target in batch["targets"]]
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        batch["inputs"] = self.normalize(batch["inputs"])
        return batch

    def batch_inputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        return list(inputs)

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Reads image files, including those in folders, in their original size: uint8 ``(3, H, W)``.

        Raises:
            DataError: a path does not exist, or a folder contains no images.
            DataError: a file cannot be decoded.
        """
        files = [file for path in paths for file in image_files(path)]
        return ((file, read_new_image(file, self.white, self.can_scale)) for file in files)

    def picture(self, image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, str]:
        """Returns the image with its boxes, and the counts of its classes."""
        if not len(target["boxes"]) or self.facts is None:
            return image, "nothing"
        width = max(1, round(min(image.shape[-2:]) / 100))
        class_names = self.facts.class_names
        names = Counter(class_names[label] for label in target["labels"].tolist())
        words = ", ".join(f"{count} {name}" if count > 1 else name for name, count in names.most_common())
        return draw_bounding_boxes(image, target["boxes"], colors="white", width=width), words
