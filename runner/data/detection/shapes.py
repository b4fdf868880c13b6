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
from runner.data.shapes import CLASS_NAMES, ScenePlan, SceneSource

__all__ = ["ShapesDetectionDataModule", "ShapesSource"]


class ShapesSource(SceneSource):
    """Scenes with their boxes."""

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        scene = self.scene(index)
        return torch.from_numpy(scene.image), make_target(scene.boxes, scene.labels)


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
        counts = {"train": num_train, "val": num_val, "test": num_test}
        self.plan = ScenePlan(counts, image_size, max_objects, scene_seed)

    def setup(self, stage: str | None = None) -> None:
        """Draws the training boxes once, to count them. Not needed for prediction."""
        if self.splits or stage == "predict":
            return
        sources = self.plan.sources(ShapesSource)
        self.splits = {
            split: self.make_split(split, source, range(len(source))) for split, source in sources.items()
        }
        train = sources["train"]
        side = self.plan.image_size
        labels = np.concatenate([train.scene(index).labels for index in range(len(train))])
        self.facts = Facts(
            task="detection",
            input_shape=(3, side, side),
            num_outputs=len(CLASS_NAMES),
            class_names=list(CLASS_NAMES),
            class_counts=np.bincount(labels, minlength=len(CLASS_NAMES)).tolist(),
            **self.split_sizes(),
            name="shapes_detection",
            source="generated",
            digest=self.plan.digest(),
            extra={"shorter_side": side, "longer_side": side},
        )
