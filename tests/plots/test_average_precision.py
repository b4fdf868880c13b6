import numpy as np
import pytest

from runner.plots.box_scores import average_precision_bars


def draw(num_classes, absent=()):
    generator = np.random.default_rng(0)
    class_map = generator.random(num_classes) * 0.8
    class_map[list(absent)] = np.nan
    return average_precision_bars(
        class_map, np.minimum(class_map * 1.2, 1), generator.integers(1, 99, num_classes),
        [f"class {k}" for k in range(num_classes)],
    )  # fmt: skip


@pytest.mark.parametrize("num_classes", [1, 3, 40, 41, 80, 365])
def test_any_number_of_classes_can_be_drawn(num_classes, png_size):
    width, height = png_size(draw(num_classes))
    assert width > 500 and height < 4000


def test_worst_class_is_on_top_and_absent_ones_are_omitted():
    fig = average_precision_bars(
        np.array([0.5, np.nan, 0.1]), np.array([0.7, np.nan, 0.3]), np.array([4, 0, 2]), list("abc")
    )
    ax = fig.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c", "a"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "the first is on top"
    assert "0.100   n = 2" in [text.get_text() for text in ax.texts]


def test_no_ground_truth_can_be_drawn(png_size):
    png_size(draw(3, absent=(0, 1, 2)))
