"""Segmentation loss: a weighted sum of cross-entropy, Dice, Jaccard and focal loss."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Lt
from segmentation_models_pytorch.losses import DiceLoss, FocalLoss, JaccardLoss
from torch import Tensor, nn
from torch.nn import functional

from runner.errors import UserError

__all__ = ["MaskLoss"]

Weight = Annotated[float, Ge(0)]
MODE = "multiclass"
EPSILON = 1e-7
"""Minimum denominator of an overlap, as in the losses of segmentation-models-pytorch."""


class MaskLoss(nn.Module):
    """A weighted sum of losses of logits ``(N, K, H, W)`` and class ids ``(N, H, W)``.

    It is zero if all pixels are ignored.

    Cross-entropy is a mean over pixels. Dice and Jaccard measure the overlap of target and prediction of each
    class over the whole batch (an absent class counts as fully overlapping), which helps small classes.

    The loss of several batches is computed from all their pixels, by adding up ``sums`` and calling
    ``of_sums``, so that the loss of a split does not depend on how it is divided into batches.

    Args:
        cross_entropy: weight of the cross-entropy.
        dice: weight of the soft Dice loss (Milletari et al. 2016, arXiv:1606.04797).
        jaccard: weight of the soft Jaccard loss, one minus the intersection over union.
        focal: weight of the focal loss (Lin et al. 2017, arXiv:1708.02002), one class against the others.
        focal_gamma: focusing parameter; larger values reduce the weight of well-classified pixels.
        label_smoothing: label smoothing of the cross-entropy.
        class_weights: one per class, for all parts; ``${facts:class_weights}`` gives rare classes more
            weight.
        ignore_index: class id of pixels that are ignored.

    Raises:
        UserError: all weights are 0, or a value would have no effect.
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
    ) -> None:
        super().__init__()
        if not cross_entropy + dice + jaccard + focal:
            raise UserError("task.loss: all weights are 0. Give cross_entropy, dice, jaccard or focal one.")
        if label_smoothing and not cross_entropy:
            raise UserError(
                f"label_smoothing={label_smoothing} acts on the cross-entropy alone, whose weight is 0. "
                "Remove it, or give task.loss.cross_entropy a weight."
            )
        self.ignore_index = ignore_index
        self.class_weights = class_weights
        self.focal_gamma = focal_gamma
        self.weights = {"cross_entropy": cross_entropy, "dice": dice, "jaccard": jaccard, "focal": focal}
        shared = {"ignore_index": ignore_index, "class_weights": class_weights}
        weight = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        parts = {
            "cross_entropy": nn.CrossEntropyLoss(
                weight, ignore_index=ignore_index, label_smoothing=label_smoothing
            ),
            "dice": DiceLoss(MODE, **shared),
            "jaccard": JaccardLoss(MODE, **shared),
            "focal": FocalLoss(MODE, gamma=focal_gamma, **shared),
        }
        self.parts = nn.ModuleDict({name: part for name, part in parts.items() if self.weights[name]})

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the loss as a scalar.

        Raises:
            UserError: the number of class weights differs from the number of classes.
        """
        if self.class_weights is not None and len(self.class_weights) != logits.shape[1]:
            raise UserError(
                f"task.loss.class_weights has {len(self.class_weights)} numbers; expected one for each of "
                f"the {logits.shape[1]} classes."
            )
        total = sum(self.weights[name] * part(logits, targets) for name, part in self.parts.items())
        # A batch may have no labelled pixels; the mean over none would be NaN.
        return torch.where((targets != self.ignore_index).any(), total, torch.zeros_like(total))

    @property
    def is_pixel_mean(self) -> bool:
        """Whether the loss is a class-weighted mean over pixels, that is, cross-entropy alone."""
        return set(self.parts) == {"cross_entropy"}

    def sums(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Returns the sums that determine the loss, ``(7, K)``; they can be added over batches.

        Rows: cross-entropy and its weights, summed over pixels by class; overlap, prediction and truth of
        each class; focal loss of each class; and the number of pixels.
        """
        num_classes = logits.shape[1]
        counted = targets != self.ignore_index
        exact = torch.float32 if logits.device.type == "mps" else torch.float64
        logits, labels = logits.movedim(1, -1)[counted].to(exact), targets[counted].long()
        truth = functional.one_hot(labels, num_classes).to(exact)
        log_probs = logits.log_softmax(-1)
        probs, weights = log_probs.exp(), self.weights_of_classes(logits)
        terms = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        focal = (1 - torch.exp(-terms)) ** self.focal_gamma * terms
        return torch.stack([
            -(weights * truth * log_probs).sum(0), weights * truth.sum(0),
            (probs * truth).sum(0), probs.sum(0), truth.sum(0),
            focal.sum(0), logits.new_full((num_classes,), len(labels)),
        ])  # fmt: skip

    def of_sums(self, sums: Tensor) -> Tensor:
        """Returns the loss, a scalar, from the added ``sums`` of several batches; without label smoothing."""
        losses, weights, overlap, predicted, true, focal, pixels = sums
        if not pixels[0]:
            return sums.new_zeros(())
        by_class = {
            "dice": (1 - 2 * overlap / (predicted + true).clamp_min(EPSILON)) * (true > 0),
            "jaccard": (1 - overlap / (predicted + true - overlap).clamp_min(EPSILON)) * (true > 0),
            "focal": focal / pixels,
        }
        shares = self.weights_of_classes(sums)
        losses_by_name = {name: (shares * values).sum() / shares.sum() for name, values in by_class.items()}
        losses_by_name["cross_entropy"] = losses.sum() / weights.sum()
        return sum(self.weights[name] * losses_by_name[name] for name in self.parts)

    def weights_of_classes(self, like: Tensor) -> Tensor:
        if self.class_weights is None:
            return like.new_ones(like.shape[-1])
        return torch.tensor(self.class_weights, dtype=like.dtype, device=like.device)
