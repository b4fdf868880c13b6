import numpy as np

from runner.plots.masks import mask_overlays, tinted

COLORS = [[0, 0, 0], [200, 0, 0], [0, 0, 100]]
NAMES = ["ground", "cat", "dog"]


def overlays(count: int, size=(6, 8)):
    images = [np.full((*size, 3), 100, dtype=np.uint8)] * count
    truths, preds = [np.zeros(size, dtype=np.uint8)] * count, [np.ones(size, dtype=np.uint8)] * count
    captions = [(f"folder/{number}.jpg", number / 10) for number in range(count)]
    return mask_overlays(images, truths, preds, captions, NAMES, COLORS, 255, "Masks")


def test_three_images_per_sample():
    figure = overlays(3)
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 9 and len(figure.axes) == 12
    labels = [ax.get_xlabel() for ax in drawn[:3]]
    assert labels == ["0.jpg", "truth", "prediction, mean IoU 0.00"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ground", "cat"]
    assert overlays(0) is None


def test_mask_is_overlaid_on_gray_and_ignored_pixels_are_unchanged():
    image = np.zeros((1, 3, 3), dtype=np.uint8)
    image[..., 1] = 100
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:3] = COLORS
    shown = tinted(image, np.array([[0, 1, 255]]), table, 255)
    assert shown[0, 0].tolist() == [23, 23, 23] and shown[0, 1].tolist() == [143, 23, 23]
    assert shown[0, 2].tolist() == [0, 100, 0]


def test_images_of_different_sizes():
    images = [np.zeros((10, 20, 3), dtype=np.uint8), np.zeros((30, 10, 3), dtype=np.uint8)]
    masks = [np.zeros(image.shape[:2], dtype=np.uint8) for image in images]
    figure = mask_overlays(images, masks, masks, [("a", 1.0), ("b", 1.0)], NAMES, COLORS, 255)
    assert len([ax for ax in figure.axes if ax.images]) == 6
