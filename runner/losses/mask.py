"""What a segmenter is trained on: cross-entropy, Dice, Jaccard and focal loss, each with a weight."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Lt
from segmentation_models_pytorch.losses import DiceLoss, FocalLoss, JaccardLoss
from torch import Tensor, nn

from runner.errors import UserError

__all__ = ["MaskLoss"]

Weight = Annotated[float, Ge(0)]
MODE = "multiclass"


class MaskLoss(nn.Module):
    """A weighted sum of losses of logits ``(N, K, H, W)`` and class ids ``(N, H, W)``; zero where nothing counts.

    Cross-entropy looks at each pixel, Dice and Jaccard at how far truth and prediction of each class cover each
    other in the whole batch (classes that are not in it count as covered), which helps small classes.

    Args:
        cross_entropy: weight of the cross-entropy.
        dice: of the soft Dice loss (Milletari et al. 2016, arXiv:1606.04797).
        jaccard: of the soft Jaccard loss, one minus the intersection over union.
        focal: of the focal loss (Lin et al. 2017, arXiv:1708.02002), one class against the others.
        focal_gamma: how little pixels count in it that are right already.
        label_smoothing: of the cross-entropy.
        class_weights: one a class, for all parts; ``${facts:class_weights}`` makes rare classes count more.
        ignore_index: pixels with it as their class id do not count.

    Raises:
        UserError: no part has a weight, or a value would have no effect.
    """

    def __init__(
        self,
        cross_entropy: Weight = 1.0,
        dice: Weight = 0.0,
        jaccard: Weight = 0.0,
        focal: Weight = 0.0,
        focal_gamma: Weight = 2.0,
        label_smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0,
        class_weights: list[Weight] | None = None,
        ignore_index: int = -100,
    ):
        super().__init__()
        if not cross_entropy + dice + jaccard + focal:
            raise UserError("task.loss: all weights are 0. Give cross_entropy, dice, jaccard or focal one.")
        if label_smoothing and not cross_entropy:
            raise UserError(
                f"label_smoothing={label_smoothing} acts on the cross-entropy alone, whose weight is 0. Take it away, "
                "or give task.loss.cross_entropy a weight."
            )
        self.ignore_index = ignore_index
        self.class_weights = class_weights
        self.weights = {"cross_entropy": cross_entropy, "dice": dice, "jaccard": jaccard, "focal": focal}
        shared = {"ignore_index": ignore_index, "class_weights": class_weights}
        weight = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        parts = {
            "cross_entropy": nn.CrossEntropyLoss(weight, ignore_index=ignore_index, label_smoothing=label_smoothing),
            "dice": DiceLoss(MODE, **shared),
            "jaccard": JaccardLoss(MODE, **shared),
            "focal": FocalLoss(MODE, gamma=focal_gamma, **shared),
        }
        self.parts = nn.ModuleDict({name: part for name, part in parts.items() if self.weights[name]})

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """A scalar.

        Raises:
            UserError: there are not as many class weights as classes.
        """
        if self.class_weights is not None and len(self.class_weights) != logits.shape[1]:
            raise UserError(
                f"task.loss.class_weights has {len(self.class_weights)} numbers; expected one for each of the "
                f"{logits.shape[1]} classes."
            )
        total = sum(self.weights[name] * part(logits, targets) for name, part in self.parts.items())
        # A batch may show nothing that is labelled; a mean over no pixel is NaN.
        return torch.where((targets != self.ignore_index).any(), total, torch.zeros_like(total))
