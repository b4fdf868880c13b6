"""Inputs to zero mean and unit variance, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Standardize"]


class Standardize(nn.Module):
    """``(inputs - mean) / std`` as float32.

    The statistics are buffers: they go with an exported model. They follow the inputs' device by themselves.

    Args:
        mean, std: one number a feature or channel, in the units the inputs come in (0 to 255 for uint8 images).
            A std of 0, that of a constant feature, counts as 1.
        num_spatial_dims: dimensions behind the channel's: 0 for features ``(N, F)``, 2 for images
            ``(N, C, H, W)``.
    """

    def __init__(
        self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor, num_spatial_dims: int = 0
    ):
        super().__init__()
        shape = (-1, *[1] * num_spatial_dims)
        std = torch.as_tensor(std, dtype=torch.float64)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float64).float().view(shape))
        self.register_buffer("std", torch.where(std == 0, 1.0, std).float().view(shape))

    @classmethod
    def for_images(cls, mean: Sequence[float], std: Sequence[float]) -> Standardize:
        """For uint8 images, by statistics of their values as fractions of 255."""
        return cls([255 * value for value in mean], [255 * value for value in std], num_spatial_dims=2)

    @classmethod
    def fitted(cls, features: Tensor) -> Standardize:
        """By the statistics of training features ``(N, F)``."""
        features = features.double()
        return cls(features.mean(0), features.std(0, correction=0))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.mean.device != inputs.device:
            self.to(inputs.device)
        return (inputs - self.mean) / self.std
