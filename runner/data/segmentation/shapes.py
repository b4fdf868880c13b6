"""Synthetic segmentation data set of circles, squares and triangles, generated from a seed."""

from __future__ import annotations

from typing import Annotated, Unpack

import numpy as np
import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from runner.data.base import LoaderOptions
from runner.data.images.augment import ImageAugment
from runner.data.segmentation.base import SegmentationDataModule
from runner.data.shapes import CLASS_NAMES, ScenePlan, SceneSource

__all__ = ["ShapesSegmentationDataModule", "ShapesSource"]

BACKGROUND = "background"


class ShapesSource(SceneSource):
    """Scenes with their masks."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the image, uint8 ``(3, S, S)``, and its mask, uint8 ``(S, S)``."""
        scene = self.scene(index)
        mask = (scene.masks * (1 + scene.labels)[:, None, None]).max(0)  # no pixel is in two shapes
        return torch.from_numpy(scene.image), torch.from_numpy(mask.astype(np.uint8))


class ShapesSegmentationDataModule(SegmentationDataModule):
    """Generated scenes of three classes of shapes on a background.

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
        num_train: Annotated[int, Gt(0)] = 400,
        num_val: Annotated[int, Gt(0)] = 60,
        num_test: Annotated[int, Ge(0)] = 60,
        image_size: Annotated[int, Ge(32), Le(2048)] = 96,
        max_objects: Annotated[int, Gt(0), Le(50)] = 6,
        scene_seed: Annotated[int, Ge(0)] = 0,
        augment: ImageAugment | None = None,
        can_flip: bool = True,
        batch_size: Annotated[int, Gt(0)] = 8,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(
            crop_size=(image_size, image_size),
            augment=augment,
            can_flip=can_flip,
            colors=None,
            batch_size=batch_size,
            **options,
        )
        counts = {"train": num_train, "val": num_val, "test": num_test}
        self.plan = ScenePlan(counts, image_size, max_objects, scene_seed)

    def setup(self, stage: str | None = None) -> None:
        """Draws some of the scenes, to count their pixels. Not needed for prediction."""
        if self.splits or stage == "predict":
            return
        for split, source in self.plan.sources(ShapesSource).items():
            self.splits[split] = self.make_split(split, source, range(len(source)))
        names = [BACKGROUND, *CLASS_NAMES]
        statistics = self.survey_train(len(names))
        self.facts = self.make_facts(
            names, statistics, "shapes_segmentation", "generated", self.plan.digest()
        )
