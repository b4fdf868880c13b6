"""Images of any size through an encoder that takes only multiples of its stride."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["AnySize"]


class AnySize:
    """Put before one of segmentation-models-pytorch's models in the bases of a class.

    The image goes on beyond its right and lower edge, by repeating the edge, until the encoder can halve it as
    often as it does; the logits there are cut off again. So ``(N, C, H, W)`` → ``(N, num_classes, H, W)``
    whatever H and W are.

    Attributes:
        multiple: of the encoder's stride that sides are brought to.
        smallest_map: side of the encoder's last map, in pixels, below which the decoder cannot work.
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
        """Pixels that a side needs to become a multiple of the stride, and long enough."""
        stride = self.encoder.output_stride
        return max(-side % (self.multiple * stride), self.smallest_map * stride - side)
