"""What all detectors here have in common."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

__all__ = ["Detector"]


class Detector:
    """Put before one of torchvision's detectors in the bases of a class.

    Called with images, a list of float32 ``(3, H, W)`` from 0 to 1, and in training with targets, a list of
    ``{"boxes": (n, 4) xyxy in pixels, "labels": (n,)}``. Labels count the classes from 0, whatever the architecture
    makes of the background. It gives a dict of losses in training, else for each image
    ``{"boxes": (m, 4), "labels": (m,), "scores": (m,)}``, the highest score first, in the pixels of the image.

    Attributes:
        first_label: of a real class, inside: 1 where 0 is the background.
        hardware_hint: what was measured to be fastest on a processor: ``precision``, ``channels_last``.
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
        return [found | {"labels": found["labels"] - self.first_label} for found in outputs]

    def get_classifier(self) -> list[nn.Module]:
        """All that is not the backbone's body: what is new for new classes, as timm's models name their heads."""
        parts = [part for name, part in self.named_children() if name != "backbone"]
        neck = [part for name, part in self.backbone.named_children() if name not in ("body", "features")]
        return [part for part in (*neck, *parts) if any(True for _ in part.parameters())]
