"""Standardization of inputs to zero mean and unit variance, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Standardize", "needs_float64"]

MAX_ROUNDING = 1e-5
"""Rounding error of float32, in standard deviations, above which numbers stay float64."""
MAX_FLOAT32 = 1e30


class Standardize(nn.Module):
    """``(inputs - mean) / std`` as float32; computed in float64 for float64 inputs.

    The statistics are buffers, so that an exported model includes them. They move to the inputs' device
    automatically. ``exact`` holds them in float64, outside of the buffers because some devices do not support
    float64.

    Args:
        mean, std: one number per feature or channel, in the units of the inputs (0 to 255 for uint8 images).
            A std of 0 (a constant feature) is replaced by 1.
        num_spatial_dims: dimensions after the channels: 0 for features ``(N, F)``, 2 for images
            ``(N, C, H, W)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor, num_spatial_dims: int = 0
    ) -> None:
        super().__init__()
        shape = (-1, *[1] * num_spatial_dims)
        std = torch.as_tensor(std, dtype=torch.float64)
        self.exact = (
            torch.as_tensor(mean, dtype=torch.float64).view(shape),
            torch.where(std == 0, 1.0, std).view(shape),
        )
        self.register_buffer("mean", self.exact[0].float())
        self.register_buffer("std", self.exact[1].float())

    @classmethod
    def for_images(cls, mean: Sequence[float], std: Sequence[float]) -> Standardize:
        """Builds the module for uint8 images from statistics given as fractions of 255."""
        return cls([255 * value for value in mean], [255 * value for value in std], num_spatial_dims=2)

    @classmethod
    def fitted(cls, features: Tensor) -> Standardize:
        """Builds the module from the statistics of training features ``(N, F)``."""
        features = features.double()
        return cls(features.mean(0), features.std(0, correction=0))

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.dtype == torch.float64:
            mean, std = (values.to(inputs.device) for values in self.exact)
            return ((inputs - mean) / std).float()
        if self.mean.device != inputs.device:
            self.to(inputs.device)
        return (inputs - self.mean) / self.std


def needs_float64(values: Tensor) -> bool:
    """Returns whether float32 would lose differences between the rows ``(N, F)``.

    This is so for numbers far from 0 and close together, such as times in seconds since 1970.
    """
    values = values.double()
    if not len(values):
        return False
    largest, std = values.abs().amax(0), values.std(0, correction=0)
    rounding = largest * torch.finfo(torch.float32).eps / 2
    return bool((((rounding > MAX_ROUNDING * std) & (std > 0)) | (largest > MAX_FLOAT32)).any())
