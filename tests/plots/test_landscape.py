"""Loss landscapes, also where losses are infinite or no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from runner.plots.landscape import DrawnLosses, landscape_contours, landscape_line, landscape_surface

X = np.linspace(-1, 1, 9)
Y = np.linspace(-2, 2, 7)
BOWL = X[None] ** 2 + Y[:, None] ** 2 + 0.5
PATH = np.array([[0.8, 1.5], [0.3, 1.0], [0.0, 0.0]])


def torn() -> np.ndarray:
    losses = BOWL.copy()
    losses[0, 0], losses[-1, -1], losses[0, -1] = np.nan, np.inf, 1e30
    return losses


def texts(fig) -> str:
    return " ".join(text.get_text() for text in [fig._supxlabel or fig.axes[0].title])


def test_contours_with_a_path(png_size):
    fig = landscape_contours(X, Y, BOWL, PATH, [10, 20, 30], note="a note")
    ax = fig.axes[0]
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 1), (-2, 2))
    assert [text.get_text() for text in ax.texts] == ["step 10", "step 30"]
    assert any(np.array_equal(line.get_xydata(), PATH) for line in ax.lines)
    assert texts(fig) == "a note"
    png_size(fig)


def test_surface_with_a_path(png_size):
    fig = landscape_surface(X, Y, BOWL, PATH, [3.0, 1.6, 0.5])
    (line,) = fig.axes[0].lines
    assert np.allclose(line.get_data_3d()[2], np.log10([3.0, 1.6, 0.5]))
    png_size(fig)


@pytest.mark.parametrize("losses", [torn(), np.ones((7, 9)), np.full((7, 9), 1e-30), -BOWL, BOWL * 1e12])
def test_any_losses_can_be_drawn(losses, png_size):
    png_size(landscape_contours(X, Y, losses))
    png_size(landscape_surface(X, Y, losses, PATH, [np.nan, np.inf, 1.0]))


def test_non_finite_losses_are_clipped_and_reported():
    drawn = DrawnLosses.of(torn())
    assert drawn.is_log and drawn.low == 0.5
    assert drawn.high == pytest.approx(10 * np.quantile(BOWL, 0.95), rel=0.1)  # ten times what 95 % are below
    assert drawn.note == f"clipped: 2 not finite and 1 above {drawn.high:.3g} of 63 points"
    assert DrawnLosses.of(np.logspace(-9, 9, 63)).high == pytest.approx(1e-3)
    assert drawn.values[0, 0] == drawn.values[-1, -1] == drawn.values[0, -1] == drawn.high
    assert drawn.note in texts(landscape_contours(X, Y, torn()))
    assert DrawnLosses.of(BOWL).note == "" and not DrawnLosses.of(BOWL + 10).is_log


def test_negative_losses_use_a_linear_scale_with_clipped_outliers():
    losses = np.r_[np.linspace(-2, 1, 50), 1e9]
    drawn = DrawnLosses.of(losses)
    assert not drawn.is_log and drawn.high < 20 and drawn.note.startswith("clipped: 1 above")


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no loss is finite"):
        DrawnLosses.of(np.full(3, np.nan))


def test_line_with_marks_and_a_gap(png_size):
    losses = (X - 0.5) ** 2 + 0.1
    losses[-1] = np.inf
    fig = landscape_line(X, losses, {"the checkpoint": (0.0, 0.35), "last": (1.0, np.inf)})
    ax = fig.axes[0]
    assert np.isnan(ax.lines[0].get_ydata()[-1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["the checkpoint", "last"]
    assert "1 not finite of 9 points" in texts(fig)
    png_size(fig)
