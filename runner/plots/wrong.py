"""The most confidently wrong predictions, which reveal label errors and weaknesses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.image import are_images, image_grid
from runner.plots.style import class_labels, label, styled

__all__ = ["most_wrong", "select_most_wrong"]


def select_most_wrong(
    probs: np.ndarray, targets: np.ndarray, preds: np.ndarray | None = None, limit: int = 24
) -> np.ndarray:
    """Indices of at most `limit` wrong predictions, the largest loss (least probable truth) first.

    Args:
        probs: (N, K).
        targets: (N,) class numbers.
        preds: (N,) those decided for, where a threshold decides; the likeliest when None.
    """
    probs, targets = np.asarray(probs, dtype=float), np.asarray(targets, dtype=np.int64)
    preds = probs.argmax(axis=1) if preds is None else np.asarray(preds, dtype=np.int64)
    wrong = np.flatnonzero(preds != targets)
    of_truth, of_pred = probs[wrong, targets[wrong]], probs[wrong, preds[wrong]]
    return wrong[np.lexsort((-of_pred, of_truth))][:limit]


@styled
def most_wrong(
    images: np.ndarray | Sequence[np.ndarray],
    names: Sequence[str],
    targets: np.ndarray,
    preds: np.ndarray,
    confidences: np.ndarray,
    class_names: Sequence[str],
    title: str = "Most wrong predictions",
) -> Figure | None:
    """A grid of images with file name, truth, prediction and its confidence; None if inputs are no images.

    Args:
        images: (N, H, W, C) or (N, C, H, W), or a list of single images that differ in size.
        names: (N,) file names; a path is cut to its last part.
        targets, preds: (N,) class numbers.
        confidences: (N,) probability given to the prediction.
    """
    if not are_images(images):
        return None
    shown = class_labels(class_names, len(class_names), 15)
    captions = [
        f"{label(str(name).replace(chr(92), '/').rsplit('/', 1)[-1], 22)}\n"
        f"truth: {shown[int(target)]}\npred: {shown[int(pred)]} {confidence:.0%}"
        for name, target, pred, confidence in zip(names, targets, preds, confidences, strict=True)
    ]
    return image_grid(images, captions, title, caption_lines=3)
