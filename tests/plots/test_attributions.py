"""Pictures of explanations."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from runner.plots.attribution import (
    MAX_LINES,
    WIDTH,
    ScoredRow,
    ScoredText,
    ScoredWindow,
    color_of,
    importance_of_columns,
    lines_of,
    scores_of_rows,
    step_scores,
    token_matrix,
    token_scores,
)
from runner.plots.saliency import Panel, bound_of, in_squares, saliency_panels, sanity_curve
from runner.plots.style import CYCLE, to_image

RANDOM = np.random.default_rng(0)


def test_blocks_contain_the_sums_of_their_pixels() -> None:
    values = RANDOM.normal(size=(7, 10))
    squares = in_squares(values, 3)
    assert squares.shape == values.shape and in_squares(values, 1) is values
    assert squares[4, 1] == pytest.approx(values[3:6, :3].sum()) and squares[6, 9] == pytest.approx(
        values[6, 9]
    )


def test_one_bright_pixel_does_not_dim_the_others() -> None:
    values = RANDOM.random((50, 50))
    values[3, 3] = 1e6
    assert bound_of(values) < 2 and bound_of(np.zeros((4, 4))) == 1.0
    assert bound_of(np.eye(40)[:1].repeat(40, 0) * 0 + (np.arange(40) == 3) * 5.0) == 5.0


@pytest.mark.parametrize("signed", [False, True])
def test_image_is_next_to_its_attribution(signed) -> None:
    shapes = [(3, 20, 30), (20, 30), (20, 30, 3)]
    panels = [
        Panel(
            f"folder/{n}.png",
            RANDOM.integers(0, 256, shape, dtype=np.uint8),
            RANDOM.normal(size=(20, 30)),
            "cat $9",
            (3, 4, 9, 12),
            RANDOM.random((20, 30)) > 0.5,
        )
        for n, shape in enumerate(shapes)
    ]
    figure = saliency_panels(panels, "Title", signed, "logit")
    named = [ax.get_xlabel() for ax in figure.axes]
    assert named[:2] == ["0.png", "cat \\$9"]
    image, overlay = figure.axes[0].images, figure.axes[1].images
    assert len(image) == 1 and len(overlay) == 2
    low, high = overlay[1].get_clim()
    assert low == (-high if signed else 0) and high > 0
    assert len(figure.axes[1].child_axes) == 1  # the colour bar
    assert to_image(figure, 40).size[0] > 100
    lower = saliency_panels(panels[1:2], "Title", lower_origin=True).axes[0]
    assert lower.images[0].origin == "lower"


def test_positive_scores_are_red_and_negative_ones_blue() -> None:
    red, white, blue = (color_of(score, 2.0) for score in (2.0, 0.0, -2.0))
    assert red[0] > 0.6 > red[2] and blue[2] > 0.6 > blue[0] and min(white) > 0.95
    assert color_of(9.0, 2.0) == red and min(color_of(0.0, 0.0)) > 0.95


def test_tokens_are_wrapped_into_lines() -> None:
    words = lines_of(["word"] * 60)
    assert (
        all(column + len(shown) <= WIDTH for line in words for _, shown, column in line) and len(words) == 4
    )
    assert [column for _, _, column in words[0][:2]] == [0, 5]
    signs = lines_of(list("a b\nc"))
    assert [shown for _, shown, _ in signs[0]] == ["a", "·", "b", "⏎", "c"] and signs[0][1][2] == 1
    endless = lines_of(["x" * 200] * 50)
    assert len(endless) == MAX_LINES and endless[-1][-1][0] == -1


def test_texts_with_words() -> None:
    figure = token_scores(
        [ScoredText("text 1", "good 98%", ["a", "fine", "$ne"], np.array([0.1, 2.0, -1.0]))], "Title", "logit"
    )
    written = [text.get_text() for text in figure.axes[0].texts]
    assert "good 98%" in written and "text 1 · deepest colour: 2 logit" in written
    assert len(figure.axes[0].patches) == 3 and to_image(figure, 40)
    assert to_image(token_scores([ScoredText("t", "w", ["a"], np.zeros(1))], "Title"), 40)


def test_label_has_a_row() -> None:
    figure = token_matrix(
        ["a", "b", "c"], ["1. a → x", "2. b → y"], np.array([[1.0, 0, 0], [0, -2.0, 0]]), "Title"
    )
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["1. a → x", "2. b → y"]
    assert figure.axes[0].images[0].get_array().shape == (2, 3)


@pytest.mark.parametrize(
    ("variables", "rows"), [(["y"], 2), (["y", "z"], 3), ([f"v{n}" for n in range(40)], 3)]
)
def test_window_has_series_sum_and_variables(variables, rows) -> None:
    values = RANDOM.normal(size=(12, len(variables)))
    window = ScoredWindow("1999", "y", values, RANDOM.normal(size=12), np.ones(3), np.zeros(3))
    figure = step_scores([window, window], variables, "Title")
    columns = [
        ax for ax in figure.axes if ax.get_subplotspec() is not None and ax.get_label() != "<colorbar>"
    ]
    assert len(columns) == 2 * rows
    assert [bar.get_height() for bar in columns[2].patches] == pytest.approx(values.sum(1))
    assert columns[0].get_xlim()[0] < -11 and columns[0].get_xlim()[1] > 3
    assert (
        len(step_scores([ScoredWindow("s", "w", values)], variables, "Title", ends=False).axes[0].patches)
        == 12
    )


def test_most_important_column_is_on_top() -> None:
    names = [f"column {number}" for number in range(40)]
    figure = importance_of_columns(names, np.arange(40.0), np.ones(40), "Title", "accuracy lost", "note")
    ax = figure.axes[0]
    assert ax.get_yticklabels()[0].get_text() == "column 39" and len(ax.get_yticks()) == 25
    assert "note; 15 less important columns" in ax.get_title("left")


def test_row_shows_its_largest_columns_with_values() -> None:
    row = ScoredRow("row 1", "cat 9%", np.array([0.1, -3.0, 2.0]), ["1", "red", "7"])
    ax = scores_of_rows([row] * 3, ["a", "b", "c"], "Title").axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["b = red", "c = 7", "a = 1"]
    assert [bar.get_facecolor()[:3] for bar in ax.patches[:2]] == [to_rgb(CYCLE[0]), to_rgb(CYCLE[1])]


def test_sanity_curve_starts_at_the_trained_model() -> None:
    ax = sanity_curve(["head", "stem"], np.array([0.5, -0.1]), np.array([0.1, 0.1]), "Title").axes[0]
    assert ax.lines[0].get_ydata().tolist() == [1.0, 0.5, -0.1]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["trained", "head", "stem"]
