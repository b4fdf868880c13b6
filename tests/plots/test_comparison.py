import numpy as np
import pytest

from runner.plots.comparison import speed_accuracy


@pytest.mark.parametrize("count", [1, 2, 6])
def test_any_number_of_models_can_be_drawn(count, png_size):
    draw = np.random.default_rng(0)
    names = [f"model {k}" for k in range(count)]
    times = {name: draw.uniform(10, 12, 9) * (k + 1) for k, name in enumerate(names)}
    scores = {name: k / count for k, name in enumerate(names)}
    png_size(
        speed_accuracy(
            times, scores, {name: "one stage" if k % 2 else "two stages" for k, name in enumerate(names)}
        )
    )


def test_points_are_at_median_and_score():
    fig = speed_accuracy({"a": [1, 2, 30], "b": [5, 5, 5]}, {"a": 0.4, "b": 0.9}, {"a": "one", "b": "two"})
    ax = fig.axes[0]
    assert [text.get_text() for text in ax.texts] == ["a\n2 ms · 0.400", "b\n5 ms · 0.900"]
    assert sorted(text.get_text() for text in ax.get_legend().get_texts()) == ["one", "two"]
