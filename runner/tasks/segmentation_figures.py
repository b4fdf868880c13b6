"""Figures for segmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from runner.plots.confusion import confusion_matrix
from runner.plots.masks import class_iou_bars, mask_overlays
from runner.tasks.outputs import to_cpu

__all__ = ["segmentation_figures"]

NUM_SHOWN = 6


def segmentation_figures(task: Any, split: str, data: Any) -> Iterator[tuple[str, Any]]:
    """Yields the figures of one evaluated split.

    Masks are not kept during evaluation, so those shown are predicted again.

    Args:
        task: the segmentation task.
        split: ``val`` or ``test``.
        data: the run's data module.
    """
    counts, names = task.counts[split].long().numpy(), task.class_names
    yield (
        f"{split}_confusion",
        confusion_matrix(counts, names, f"Confusion of pixels ({split})", cells="shares"),
    )
    yield f"{split}_class_iou", class_iou_bars(counts, names, f"IoU by class ({split})")
    iou, index = task.outputs[split]["image_iou"], task.outputs[split]["index"]
    defined = (~iou.isnan()).nonzero().flatten()
    worst = defined[iou[defined].argsort(stable=True)][:NUM_SHOWN]
    drawn = torch.randperm(len(iou), generator=torch.Generator().manual_seed(0))[:NUM_SHOWN]
    yield (
        f"{split}_worst_masks",
        overlays(task, split, data, index[worst], iou[worst], f"Worst masks ({split})"),
    )
    yield (
        f"{split}_random_masks",
        overlays(task, split, data, index[drawn], iou[drawn], f"Masks ({split}), at random"),
    )


def overlays(task: Any, split: str, data: Any, index: Tensor, iou: Tensor, title: str) -> Any:
    """Plots images with their true and predicted masks."""
    source, captions, images, truths, preds = data.splits[split].source, [], [], [], []
    for number, value in zip(index.tolist(), iou.tolist(), strict=True):
        image, truth = source[number]
        images.append(image.permute(1, 2, 0).numpy())
        truths.append(truth.numpy())
        preds.append(predicted(task, data, image).numpy())
        captions.append((data.sample_name(split, number), value))
    return mask_overlays(
        images, truths, preds, captions, task.class_names, task.class_colors, task.ignore_index, title
    )


def predicted(task: Any, data: Any, image: Tensor) -> Tensor:
    """Predicts the class ids ``(H, W)`` of one image."""
    batch = data.on_after_batch_transfer({"inputs": data.batch_inputs([image]).to(task.device)}, 0)
    was_training = task.training
    task.eval()
    with torch.inference_mode():
        (mask,) = task.masks_of(task.predict_outputs(batch["inputs"]))
    task.train(was_training)
    return to_cpu(mask)
