import math

import pytest

from runner.plots.learning_rate import learning_rate_curve


def rates(function, steps=600):
    return [(s, s // 100, function(s)) for s in range(steps)]


@pytest.mark.parametrize(
    ("function", "scale"),
    [
        (lambda s: 0.1, "linear"),
        (lambda s: 5e-4 * (1 + math.cos(math.pi * s / 600)), "linear"),
        (lambda s: 0.1 ** (s // 150), "log"),
    ],
    ids=["constant", "cosine", "step"],
)
def test_scale_fits_the_schedule(function, scale, png_size):
    fig = learning_rate_curve({"lr": rates(function)})
    assert fig.axes[0].get_yscale() == scale
    png_size(fig)


def test_groups_are_named():
    fig = learning_rate_curve({"head": rates(lambda s: 1e-3), "backbone": rates(lambda s: 1e-4)})
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["head", "backbone"]


@pytest.mark.parametrize("points", [{}, {"lr": []}, {"lr": [(0, 0, 0.0)]}, {"lr": [(0, 0, float("nan"))]}])
def test_unusual_cases_can_be_drawn(points, png_size):
    png_size(learning_rate_curve(points))
