import numpy as np
import torch

from runner.tasks.pixel_confusion import PixelConfusion, class_dice, class_iou, count_pixels


def reference(preds: np.ndarray, targets: np.ndarray, num_classes: int, ignore: int) -> np.ndarray:
    counts = np.zeros((num_classes, num_classes), dtype=np.int64)
    for truth, pred in zip(targets.ravel(), preds.ravel(), strict=True):
        if truth != ignore:
            counts[truth, pred] += 1
    return counts


def masks(num_classes: int = 5, ignore: int = 255):
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, num_classes, (3, 7, 6), generator=generator)
    targets[torch.rand(targets.shape, generator=generator) < 0.2] = ignore
    return torch.randint(0, num_classes, (3, 7, 6), generator=generator), targets


def test_counts_of_each_image():
    preds, targets = masks()
    counts = count_pixels(preds, targets, 5, 255)
    assert counts.dtype == torch.int64
    for image in range(3):
        assert (
            counts[image].tolist() == reference(preds[image].numpy(), targets[image].numpy(), 5, 255).tolist()
        )


def test_ignored_class_below_the_number_of_classes():
    preds, targets = masks(ignore=2)
    assert (
        count_pixels(preds, targets, 5, 2).sum(0).tolist()
        == reference(preds.numpy(), targets.numpy(), 5, 2).tolist()
    )


def test_iou_and_dice():
    preds, targets = masks()
    counts = reference(preds.numpy(), targets.numpy(), 5, 255)
    counted = targets.numpy() != 255
    iou, dice = [], []
    for label in range(5):
        truth, pred = (targets.numpy() == label) & counted, (preds.numpy() == label) & counted
        iou.append((truth & pred).sum() / (truth | pred).sum())
        dice.append(2 * (truth & pred).sum() / (truth.sum() + pred.sum()))
    np.testing.assert_allclose(class_iou(torch.tensor(counts)).numpy(), iou, rtol=1e-6)
    np.testing.assert_allclose(class_dice(torch.tensor(counts)).numpy(), dice, rtol=1e-6)


def test_absent_class_has_no_value():
    counts = torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert class_iou(counts).isnan().tolist() == [False, False, True]
    assert class_dice(counts).isnan().tolist() == [False, False, True]


def test_batches_accumulate():
    metric = PixelConfusion(5)
    preds, targets = masks()
    for image in range(3):
        metric.update(count_pixels(preds[image : image + 1], targets[image : image + 1], 5, 255))
    assert metric.compute().tolist() == reference(preds.numpy(), targets.numpy(), 5, 255).tolist()
    metric.reset()
    assert not metric.compute().any()
