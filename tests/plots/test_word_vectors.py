"""Points in the plane."""

from __future__ import annotations

import numpy as np

from runner.plots.word_vectors import projection


def test_one_colour_per_class_with_names():
    points = np.random.default_rng(0).normal(size=(30, 2))
    fig = projection(points, np.arange(30) % 3, ["a", "b", "c"], names=["x", "y"])
    assert [len(part.get_offsets()) for part in fig.axes[0].collections] == [10, 10, 10]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["a", "b", "c"]
    assert [text.get_text() for text in fig.axes[0].texts] == ["x", "y"]


def test_many_classes_are_not_coloured():
    assert len(projection(np.zeros((50, 2)), np.arange(50)).axes[0].collections) == 1
