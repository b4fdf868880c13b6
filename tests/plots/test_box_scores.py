import numpy as np
import pytest

from runner.plots.box_scores import box_precision_recall


def precision(num_classes, absent=()):
    recall = np.linspace(0, 1, 101)[None, :, None]
    strict = np.linspace(0, 0.8, 10)[:, None, None]
    hard = np.linspace(0.1, 0.9, num_classes)[None, None, :]
    values = np.clip(1 - recall * hard - strict, 0, 1)
    values[:, :, list(absent)] = np.nan
    return values


@pytest.mark.parametrize("num_classes", [1, 3, 7, 8, 80])
def test_any_number_of_classes_can_be_drawn(num_classes, png_size):
    png_size(box_precision_recall(precision(num_classes), [f"class {k}" for k in range(num_classes)]))


def test_titles_show_the_means():
    values = precision(3, absent=(1,))
    left, right = box_precision_recall(values, list("abc")).axes
    there = values[:, :, [0, 2]]
    assert f"{there[0].mean():.3f}" in left.get_title(loc="left")
    assert f"{there.mean():.3f}" in right.get_title(loc="left")
    assert len(left.lines) == 2


def test_hardest_of_many_classes_are_named():
    left, _ = box_precision_recall(precision(20), [f"class {k}" for k in range(20)]).axes
    names = [text.get_text().split("  ")[0] for text in left.get_legend().get_texts()]
    assert sorted(names) == [f"class {k}" for k in range(15, 20)]


def test_no_ground_truth_can_be_drawn(png_size):
    png_size(box_precision_recall(precision(2, absent=(0, 1)), ["a", "b"]))
