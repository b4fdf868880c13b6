import numpy as np
import pytest
from sklearn.metrics import r2_score

from runner.plots.regression import regression_panels


def test_title_shows_r2_and_rmse():
    rng = np.random.default_rng(0)
    true = rng.normal(size=50)
    pred = true + 0.1 * rng.normal(size=50)
    title = regression_panels(pred, true).axes[0].get_title("left")
    assert title == f"R² {r2_score(true, pred):.3f}   RMSE {np.sqrt(((pred - true) ** 2).mean()):.4g}"


def test_non_finite_pairs_are_counted():
    fig = regression_panels(np.array([1.0, np.nan, 3.0]), np.array([1.0, 2.0, np.inf]), ["price"])
    assert "(2 not finite)" in fig.axes[0].get_title("left")
    assert fig.axes[0].get_xlabel() == "true price"


def test_every_target_has_a_row(png_size):
    values = np.random.default_rng(0).normal(size=(5000, 2))
    fig = regression_panels(values, values[::-1], ["a", "b$"])
    assert [ax.get_xlabel() for ax in fig.axes[::3]] == ["true a", r"true b\$"]
    png_size(fig)


@pytest.mark.parametrize(
    ("preds", "targets"),
    [([1.0], [1.0]), ([], []), ([2.0, 2.0], [1.0, 1.0]), ([1e6 + 1e-9, 1e6], [0.0, 0.0]), ([np.nan], [1.0])],
)
def test_degenerate_values_can_be_drawn(preds, targets, png_size):
    png_size(regression_panels(np.array(preds), np.array(targets)))
