"""Padding of images for encoders that require multiples of their stride."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["AnySize"]


class AnySize:
    """Mixin for models of segmentation-models-pytorch, to be listed before them in the bases of a class.

    Pads images on the right and at the bottom with replicated edges to a multiple of the encoder's stride, and crops the
    logits to the original size: ``(N, C, H, W)`` → ``(N, num_classes, H, W)`` for any H and W.

    Attributes:
        multiple: sides are padded to a multiple of ``multiple`` times the encoder's stride.
        smallest_map: minimum side of the encoder's last feature map that the decoder requires, in pixels.
    """

    multiple = 1
    smallest_map = 1

    def forward(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[-2:]
        below, right = self.lacking(height), self.lacking(width)
        if below or right:
            inputs = F.pad(inputs, (0, right, 0, below), mode="replicate")
        return super().forward(inputs)[..., :height, :width]

    def lacking(self, side: int) -> int:
        """Returns the number of pixels to add to a side."""
        stride = self.encoder.output_stride
        return max(-side % (self.multiple * stride), self.smallest_map * stride - side)
