import numpy as np
import pytest

from runner.plots.boundary import decision_boundary, feature_grid

POINTS = np.array([[0.0, 10.0], [4.0, 30.0], [2.0, 20.0]])


def test_grid_covers_all_points():
    grid = feature_grid(POINTS, 50)
    assert grid.shape == (50, 50, 2)
    assert grid[..., 0].min() < 0 and grid[..., 0].max() > 4
    assert grid[..., 1].min() < 10 and grid[..., 1].max() > 30


def test_constant_feature_still_spans_an_area():
    grid = feature_grid(np.array([[1.0, 5.0], [1.0, 7.0]]), 10)
    assert np.ptp(grid[..., 0]) > 0


@pytest.mark.parametrize("num_classes", [2, 3, 9])
@pytest.mark.parametrize("certain", [False, True])
def test_draws_with_names(num_classes, certain, png_size):
    grid = feature_grid(POINTS, 30)
    logits = np.stack([k * (grid[..., 0] - 2) - 0.1 * k**2 for k in range(num_classes)], axis=-1)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    if certain:
        probs = np.zeros_like(probs)
        probs[..., 0] = 1
    names = [f"class {k}" for k in range(num_classes)]
    fig = decision_boundary(grid, probs, POINTS, np.array([0, 1, 1]), ["lectures", "hours"], names)
    assert (fig.axes[0].get_xlabel(), fig.axes[0].get_ylabel()) == ("lectures", "hours")
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == names
    png_size(fig)
