"""Base class of semantic segmentation data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions
from runner.data.facts import Facts
from runner.data.images.augment import ImageAugment
from runner.data.images.brightness import WhiteLevel
from runner.data.images.decode import read_new_image
from runner.data.images.folder import IMAGENET_MEAN, IMAGENET_STD
from runner.data.images.tree import image_files
from runner.data.measurements import Measurements, spread
from runner.data.segmentation.batch import IGNORE, keep_sizes, pad_to_largest
from runner.data.segmentation.classes import GROUNDS, class_colors, laid_over
from runner.data.segmentation.mask_set import Survey, survey
from runner.data.segmentation.transform import MaskAugment
from runner.data.split import Source, Split
from runner.data.standardize import Standardize

__all__ = ["SegmentationDataModule", "Side"]

Side = Annotated[int, Ge(16), Le(4096)]
NUM_NAMED = 2


class SegmentationDataModule(WhiteLevel, DataModule):
    """Images with a class for each pixel.

    Batches are ``{"inputs": (N, 3, H, W), "targets": (N, H, W)}``, with class ids as int64 and 255 for
    ignored pixels. Training images are padded to the largest of their batch; evaluation images keep their
    sizes, and if these differ within a batch, both entries are lists.

    Args:
        crop_size: height and width of the training crops, in pixels; without augmentation, whole images are
            used.
        augment: random augmentation of training images; None disables it.
        can_flip: whether images may be mirrored.
        colors: red, green and blue of each class, for pictures; chosen automatically when None.
    """

    extra_facts = ("ignore_index", "class_weights", "class_colors")

    def __init__(
        self,
        *,
        crop_size: tuple[Side, Side] = (256, 256),
        augment: ImageAugment | None = None,
        can_flip: bool = True,
        colors: list[list[int]] | None = None,
        batch_size: Annotated[int, Gt(0)] = 8,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.crop_size = (crop_size[0], crop_size[1])
        self.augment = augment
        self.can_flip = can_flip
        self.colors = colors
        self.normalize = Standardize.for_images(IMAGENET_MEAN, IMAGENET_STD)

    def make_split(self, name: str, source: Source, indices: Sequence[int] | Tensor) -> Split:
        """Return a split whose samples are augmented if it is ``train``."""
        if name != "train":
            return Split(source, indices, None, self.seed, keep_sizes)
        transform = None if self.augment is None else MaskAugment(self.augment, self.crop_size, self.can_flip)
        return Split(source, indices, transform, self.seed, pad_to_largest)

    def survey_train(self, num_classes: int) -> Survey:
        """Compute statistics of some of the training samples."""
        train = self.splits["train"]
        return survey(train.source, train.indices, num_classes)

    def measurements(self) -> Measurements:
        train = self.splits["train"]
        shapes = [train.source[int(train.indices[index])][0].shape[-2:] for index in spread(len(train), 20)]
        return Measurements(image_sizes=np.array(shapes))

    def make_facts(
        self, class_names: Sequence[str], statistics: Survey, name: str, source: str, digest: str
    ) -> Facts:
        """Build the facts of the splits; ``class_counts`` are numbers of pixels in the inspected samples."""
        size = statistics.size if self.augment is None else self.crop_size
        return Facts(
            task="segmentation",
            input_shape=(3, *size),
            num_outputs=len(class_names),
            class_names=list(class_names),
            class_counts=[int(count) for count in statistics.counts.tolist()],
            **self.split_sizes(),
            name=name,
            source=source,
            digest=digest,
            class_counts_of="pixels",
            extra={
                "ignore_index": IGNORE,
                "class_weights": statistics.class_weights(),
                "class_colors": self.colors or class_colors(class_names),
            },
        )

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        inputs, targets = batch["inputs"], batch.get("targets")
        if isinstance(inputs, Tensor):
            batch["inputs"] = self.normalize(inputs)
        else:
            batch["inputs"] = [self.normalize(image) for image in inputs]
        if targets is not None:
            batch["targets"] = (
                targets.long() if isinstance(targets, Tensor) else [mask.long() for mask in targets]
            )
        return batch

    def batch_inputs(self, inputs: Sequence[Tensor]) -> Tensor | list[Tensor]:
        same = len({image.shape for image in inputs}) == 1
        return torch.stack(list(inputs)) if same else list(inputs)

    def read_inputs(self, paths: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Reads image files, including those in folders, in their original size: uint8 ``(3, H, W)``.

        Raises:
            DataError: a path does not exist, or a folder contains no images.
            DataError: a file cannot be decoded.
        """
        files = [file for path in paths for file in image_files(path)]
        return ((file, read_new_image(file, self.white, self.can_scale)) for file in files)

    def picture(self, image: Tensor, target: Tensor) -> tuple[Tensor, str]:
        """Returns the image with its mask overlaid, and the names of its largest classes.

        The background is named only if there is no other class.
        """
        facts = self.facts
        if facts is None:
            raise RuntimeError("The classes are unknown before setup().")
        counts = torch.bincount(target.flatten().long(), minlength=IGNORE + 1)[: facts.num_classes]
        order = counts.argsort(descending=True, stable=True).tolist()
        present = [facts.class_names[class_id] for class_id in order if counts[class_id]]
        named = [name for name in present if name.lower() not in GROUNDS] or present or ["nothing"]
        return laid_over(image, target, facts.extra["class_colors"]), ", ".join(named[:NUM_NAMED])
