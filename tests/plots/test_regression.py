import numpy as np
import pytest
from sklearn.metrics import r2_score

from runner.plots.regression import plot_predicted_true, plot_residuals


def test_title_tells_r2_and_rmse():
    rng = np.random.default_rng(0)
    true = rng.normal(size=50)
    pred = true + 0.1 * rng.normal(size=50)
    title = plot_predicted_true(true, pred).axes[0].get_title("left")
    assert title == f"R² {r2_score(true, pred):.3f}   RMSE {np.sqrt(((pred - true) ** 2).mean()):.4g}"


def test_pairs_that_are_not_finite_are_counted():
    fig = plot_predicted_true(np.array([1.0, 2.0, np.inf]), np.array([1.0, np.nan, 3.0]), "price $")
    assert "(2 not finite)" in fig.axes[0].get_title("left")
    assert fig.axes[0].get_xlabel() == r"true price \$"


def test_residuals_are_predicted_minus_true():
    fig = plot_residuals(np.array([1.0, 2.0]), np.array([3.0, 4.5]), "price")
    scatter, histogram = fig.axes
    assert scatter.collections[0].get_offsets().tolist() == [[3, 2], [4.5, 2.5]]
    assert sum(bar.get_height() for bar in histogram.patches) == 2
    assert scatter.get_xlabel() == "predicted price"


@pytest.mark.parametrize(
    ("targets", "preds"),
    [
        ([1.0], [1.0]),
        ([], []),
        ([1.0, 1.0], [2.0, 2.0]),
        ([0.0, 0.0], [1e6 + 1e-9, 1e6]),
        ([1.0], [np.nan]),
        (np.linspace(0, 1e6, 5000), np.linspace(10, 9e5, 5000)),
    ],
)
def test_degenerate_and_dense_values_draw(targets, preds, png_size):
    png_size(plot_predicted_true(np.array(targets), np.array(preds)))
    png_size(plot_residuals(np.array(targets), np.array(preds)))
