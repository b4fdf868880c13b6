import numpy as np
import pytest

from runner.plots.class_scores import calibrate, reliability_diagram


def test_error_is_the_gap_weighted_by_counts():
    result = calibrate(np.array([0.95, 0.95, 0.55, 0.55]), np.array([1, 1, 1, 0]), num_bins=10)
    assert result.ece == pytest.approx(0.5 * 0.05 + 0.5 * 0.05)
    assert result.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert result.accuracy[5] == 0.5 and np.isnan(result.accuracy[0])


def test_perfect_calibration_has_almost_no_error():
    rng = np.random.default_rng(0)
    confidences = rng.random(200_000)
    assert calibrate(confidences, rng.random(200_000) < confidences).ece < 0.01


@pytest.mark.parametrize("confidences", [[1.0], [0.0, 1.0], [np.nan, 0.3], []])
def test_edge_cases_can_be_drawn(confidences, png_size):
    png_size(reliability_diagram(np.array(confidences), np.ones(len(confidences), bool)))


def test_error_is_reported():
    fig = reliability_diagram(np.array([0.8, 0.8]), np.array([True, False]))
    assert fig.axes[0].get_title("left") == "expected calibration error 0.300"
