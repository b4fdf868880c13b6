import numpy as np
import pytest

from runner.plots.images import drawable


def test_bytes_are_divided_by_255():
    assert drawable(np.full((2, 2, 3), 51, np.uint8)) == pytest.approx(0.2)


def test_floats_in_range_are_unchanged_and_others_are_rescaled():
    assert drawable(np.array([[0.25, 0.5]])).tolist() == [[0.25, 0.5]]
    assert drawable(np.array([[-1.0, 0.0, 3.0]])).tolist() == [[0, 0.25, 1]]


def test_channels_first_and_last_give_the_same_image():
    image = np.random.default_rng(0).random((3, 9, 7))
    assert np.array_equal(drawable(image), drawable(np.moveaxis(image, 0, -1)))


def test_gray_loses_its_channel_and_transparency_is_dropped():
    assert drawable(np.zeros((1, 5, 6))).shape == (5, 6)
    assert drawable(np.zeros((5, 6, 4))).shape == (5, 6, 3)


def test_non_finite_values_can_be_drawn():
    assert np.isfinite(drawable(np.array([[np.nan, np.inf, 0.5]]))).all()
