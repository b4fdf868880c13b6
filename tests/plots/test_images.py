import numpy as np
import pytest

from runner.plots.images import most_wrong, select_most_wrong

PROBS = np.array([[0.9, 0.1], [0.2, 0.8], [0.99, 0.01], [0.6, 0.4]])


def test_largest_loss_comes_first_and_correct_samples_are_excluded():
    assert select_most_wrong(PROBS, np.array([1, 1, 1, 1])).tolist() == [2, 0, 3]
    assert select_most_wrong(PROBS, np.array([1, 1, 1, 1]), limit=1).tolist() == [2]
    assert select_most_wrong(PROBS, np.array([0, 1, 0, 0])).tolist() == []


def test_most_wrong_uses_the_threshold_decisions():
    """By a threshold of 0.05 all but the third are called 1, also those that are likelier 0."""
    assert select_most_wrong(PROBS, np.array([1, 1, 1, 1]), np.array([1, 1, 0, 1])).tolist() == [2]
    assert select_most_wrong(PROBS, np.array([0, 0, 1, 0]), np.array([1, 1, 0, 1])).tolist() == [2, 1, 3, 0]


def test_captions_show_file_truth_prediction_and_confidence():
    fig = most_wrong(np.zeros((1, 3, 8, 8)), ["data/val/dog/img_1.jpg"], [1], [0], [0.987], ["cat", "dog"])
    assert fig.axes[0].get_xlabel() == "img_1.jpg\ntruth: dog\npred: cat 99%"


@pytest.mark.parametrize(
    "shape", [(2, 8, 8), (2, 8, 8, 1), (2, 1, 8, 8), (2, 3, 40, 20), (2, 200, 120, 3), (2, 8, 8, 4)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_layout_can_be_drawn(shape, dtype, png_size):
    images = (np.random.default_rng(0).random(shape) * 4 - 1).astype(dtype)
    png_size(most_wrong(images, ["a", "b"], [0, 1], [1, 0], [1.0, 0.5], ["cat", "dog"]))


def test_images_of_different_sizes_can_be_drawn(png_size):
    images = [np.zeros((8, 9, 3), np.uint8), np.zeros((30, 20, 3), np.uint8)]
    png_size(most_wrong(images, ["a", "b"], [0, 1], [1, 0], [1.0, 0.5], ["cat", "dog"]))


@pytest.mark.parametrize("inputs", [np.zeros((3, 7)), np.zeros((3, 5, 2, 40)), np.zeros((0, 3, 8, 8))])
def test_inputs_that_are_not_images_give_no_figure(inputs):
    n = len(inputs)
    assert most_wrong(inputs, ["a"] * n, [0] * n, [1] * n, [1.0] * n, ["cat", "dog"]) is None
