"""Common interface of all detectors."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["Detector"]


class Detector:
    """Mixin for torchvision's detectors, to be listed before them in the bases of a class.

    A detector is called with a list of images, float32 ``(3, H, W)`` from 0 to 1, and in training mode also with a list
    of targets ``{"boxes": (n, 4) xyxy in pixels, "labels": (n,)}``. Labels start at 0 for all architectures, with or
    without a background class. It returns a dict of losses in training mode, otherwise for each image
    ``{"boxes": (m, 4), "labels": (m,), "scores": (m,)}`` in pixels of the image, sorted by descending score.

    Attributes:
        first_label: internal label of the first class: 1 if 0 is the background.
        hardware_hint: the fastest settings measured on a CPU: ``precision``, ``channels_last``.
    """

    first_label = 0
    hardware_hint: dict[str, Any] = {}

    def forward(
        self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        if targets is not None:
            targets = [{"boxes": t["boxes"], "labels": t["labels"] + self.first_label} for t in targets]
        outputs = super().forward(images, targets)
        if self.training:
            return outputs
        return [output | {"labels": output["labels"] - self.first_label} for output in outputs]

    def get_classifier(self) -> list[nn.Module]:
        """Returns all modules except the backbone's body, under the name that timm uses for heads."""
        parts = [part for name, part in self.named_children() if name != "backbone"]
        neck = [part for name, part in self.backbone.named_children() if name not in ("body", "features")]
        return [part for part in (*neck, *parts) if any(True for _ in part.parameters())]
