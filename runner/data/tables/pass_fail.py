"""Generated binary classification: two features, and classes separated by a noisy straight line."""

from __future__ import annotations

from typing import Annotated, Unpack

import torch
from annotated_types import Ge, Gt, Lt

from runner.data.base import LoaderOptions
from runner.data.split import ArraySource
from runner.data.tables.features import FeatureArrayDataModule

__all__ = ["PassFailDataModule"]

MAX_LECTURES = 30
MAX_HOURS = 50


class PassFailDataModule(FeatureArrayDataModule):
    """Students who pass if lectures / 30 + hours / 50 + noise > 1.

    Args:
        num_samples: number of students.
        noise: standard deviation of the normal noise in that rule; 0 makes the classes separable.
        data_seed: seed of the students and the noise.
    """

    title = "pass_fail"
    feature_names = ("lectures attended", "hours on the project")
    class_names = ("fail", "pass")

    def __init__(
        self,
        *,
        num_samples: Annotated[int, Ge(20)] = 1000,
        noise: Annotated[float, Ge(0)] = 0.1,
        data_seed: Annotated[int, Ge(0)] = 0,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        test_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.2,
        split_seed: Annotated[int, Ge(0)] = 0,
        batch_size: Annotated[int, Gt(0)] = 64,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            split_seed=split_seed,
            batch_size=batch_size,
            **options,
        )
        self.num_samples = num_samples
        self.noise = noise
        self.data_seed = data_seed

    def read(self) -> ArraySource:
        generator = torch.Generator().manual_seed(self.data_seed)
        lectures = torch.randint(0, MAX_LECTURES + 1, (self.num_samples,), generator=generator).float()
        hours = MAX_HOURS * torch.rand(self.num_samples, generator=generator)
        luck = self.noise * torch.randn(self.num_samples, generator=generator)
        passed = lectures / MAX_LECTURES + hours / MAX_HOURS + luck > 1
        return ArraySource(torch.stack([lectures, hours], dim=1), passed.long(), label="student")

    def source_name(self) -> str:
        return f"generated, seed {self.data_seed}"
