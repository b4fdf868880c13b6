"""Generated series with a trend, daily and weekly seasons, and noise."""

from __future__ import annotations

from typing import Annotated, Unpack

import numpy as np
import torch
from annotated_types import Ge

from runner.data.facts import digest_tensors
from runner.data.series.base import SeriesDataModule, SeriesOptions
from runner.data.series.file import Series

__all__ = ["WavesDataModule"]

DAY, WEEK = 24, 168


class WavesDataModule(SeriesDataModule):
    """Two hourly columns: ``heat``, and ``load``, which follows it with a delay of three hours.

    ``load`` also has a trend, a daily and a weekly season.

    Args:
        num_steps: number of hours.
        noise: standard deviation of the normal noise; the daily season has an amplitude of 1.
        data_seed: seed of the noise.
        input_steps, horizon_steps, target, season_steps, val_fraction, test_fraction, rows: see
            ``runner.data.series.base.SeriesDataModule``.
    """

    title = "waves"

    def __init__(
        self,
        *,
        num_steps: Annotated[int, Ge(50)] = 3000,
        noise: Annotated[float, Ge(0)] = 0.2,
        data_seed: Annotated[int, Ge(0)] = 0,
        season_steps: Annotated[int, Ge(1)] | None = DAY,
        **options: Unpack[SeriesOptions],
    ) -> None:
        super().__init__(season_steps=season_steps, **options)
        self.num_steps = num_steps
        self.noise = noise
        self.data_seed = data_seed

    def read(self) -> Series:
        hours = np.arange(self.num_steps)
        random = np.random.default_rng(self.data_seed)
        slow = np.cumsum(random.normal(0, 0.05, self.num_steps))
        heat = (
            slow
            + 0.5 * np.sin(2 * np.pi * (hours - 6) / DAY)
            + self.noise * random.normal(size=self.num_steps)
        )
        delayed = np.concatenate([np.repeat(heat[0], 3), heat[:-3]])
        wave = np.sin(2 * np.pi * hours / DAY) + 0.5 * np.sin(2 * np.pi * hours / WEEK)
        load = 10 + hours / self.num_steps + wave + delayed + self.noise * random.normal(size=self.num_steps)
        return Series(np.stack([load, heat], 1).astype(np.float32), ["load", "heat"])

    def source_name(self) -> str:
        return f"generated, seed {self.data_seed}"

    def digest(self, series: Series) -> str:
        return digest_tensors(torch.from_numpy(series.values))
