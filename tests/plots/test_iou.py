import numpy as np
import pytest

from runner.plots.masks import class_iou_bars


def bars(figure):
    ax = figure.axes[0]
    return [label.get_text() for label in ax.get_yticklabels()], [bar.get_width() for bar in ax.patches]


def test_bars_are_sorted_and_absent_classes_are_omitted():
    counts = np.array([[80, 20, 0], [0, 100, 0], [0, 0, 0]])
    names, widths = bars(class_iou_bars(counts, ["sky", "road", "tree"]))
    assert names == ["sky", "road"] and widths == pytest.approx([80 / 100, 100 / 120])


def test_only_the_worst_of_very_many():
    counts = np.diag(np.arange(1, 101)) + 1
    names, widths = bars(class_iou_bars(counts))
    assert len(names) == 60 and widths == sorted(widths) and names[0] == "0"


def test_zero_counts_can_be_drawn():
    assert bars(class_iou_bars(np.zeros((2, 2)), ["a", "b"])) == ([], [])
