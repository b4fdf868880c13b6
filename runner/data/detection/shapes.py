"""Synthetic detection data set of circles, squares and triangles, generated from a seed."""

from __future__ import annotations

from typing import Annotated, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from runner.data.detection.base import DetectionDataModule, DetectionOptions
from runner.data.detection.source import make_target
from runner.data.facts import Facts
from runner.data.sampler import seed_of
from runner.data.shapes import CLASS_NAMES, Scene, draw_scene

__all__ = ["ShapesDetectionDataModule", "ShapesSource"]


class ShapesSource:
    """Scenes with their boxes, drawn lazily.

    Args:
        num_images: number of images.
        seed: seed of all images.
        image_size: side of the square images, in pixels.
        max_objects: maximum number of shapes per image.
    """

    def __init__(self, num_images: int, seed: int, image_size: int, max_objects: int) -> None:
        self.num_images = num_images
        self.seed = seed
        self.image_size = image_size
        self.max_objects = max_objects

    def __len__(self) -> int:
        return self.num_images

    def scene(self, index: int) -> Scene:
        """Return the scene of an image."""
        return draw_scene(self.seed, index, self.image_size, self.max_objects)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        scene = self.scene(index)
        return torch.from_numpy(scene.image), make_target(scene.boxes, scene.labels)

    def name(self, index: int) -> str:
        return f"scene {index}"


class ShapesDetectionDataModule(DetectionDataModule):
    """Generated scenes with boxes around three classes of shapes.

    Args:
        num_train, num_val, num_test: number of images of each split; the splits share no images.
        image_size: side of the square images, in pixels.
        max_objects: maximum number of shapes per image.
        scene_seed: seed of the scenes.
    """

    no_folds = "its splits are generated separately (use another data.scene_seed instead)"

    def __init__(
        self,
        *,
        num_train: Annotated[int, Gt(0)] = 800,
        num_val: Annotated[int, Gt(0)] = 100,
        num_test: Annotated[int, Ge(0)] = 100,
        image_size: Annotated[int, Ge(32), Le(2048)] = 128,
        max_objects: Annotated[int, Gt(0), Le(50)] = 6,
        scene_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 8,
        **options: Unpack[DetectionOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.counts = {"train": num_train, "val": num_val, "test": num_test}
        self.image_size = image_size
        self.max_objects = max_objects
        self.scene_seed = scene_seed

    def setup(self, stage: str | None = None) -> None:
        """Draws the training boxes once, to count them. Not needed for prediction."""
        if self.splits or stage == "predict":
            return
        sources = {
            split: ShapesSource(count, seed_of(self.scene_seed, split), self.image_size, self.max_objects)
            for split, count in self.counts.items()
            if count
        }
        self.splits = {
            split: self.make_split(split, source, range(len(source))) for split, source in sources.items()
        }
        train = sources["train"]
        labels = np.concatenate([train.scene(index).labels for index in range(len(train))])
        self.facts = Facts(
            task="detection",
            input_shape=(3, self.image_size, self.image_size),
            num_outputs=len(CLASS_NAMES),
            class_names=list(CLASS_NAMES),
            class_counts=np.bincount(labels, minlength=len(CLASS_NAMES)).tolist(),
            **self.split_sizes(),
            name="shapes_detection",
            source="generated",
            digest=format(
                seed_of(self.scene_seed, self.image_size, self.max_objects, *self.counts.values()), "016x"
            ),
            extra={"shorter_side": self.image_size, "longer_side": self.image_size},
        )
