import numpy as np
import pytest

from runner.plots.confusion import confusion_matrix, count_confusion


def texts(fig):
    return [text.get_text() for ax in fig.axes for text in ax.texts]


def test_rows_of_the_counts_are_true_classes():
    counts = count_confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_small_matrix_shows_counts_and_fractions():
    fig = confusion_matrix(np.array([[60, 20], [0, 5]]), ["cat", "dog"])
    assert texts(fig) == ["60\n75.0%", "20\n25.0%", "5\n100.0%"]
    assert [tick.get_text() for tick in fig.axes[0].get_yticklabels()] == ["cat", "dog"]


def test_colours_are_normalised_by_row():
    image = confusion_matrix(np.array([[30, 10], [0, 0]])).axes[0].images[0]
    assert np.allclose(image.get_array(), [[0.75, 0.25], [0, 0]])


def test_large_matrix_lists_the_most_confused_pairs():
    counts = np.diag(np.full(100, 20))
    counts[3, 7] = 12
    shown = texts(confusion_matrix(counts, [f"n{i:03d}" for i in range(100)]))
    assert "n003 → n007" in shown
    assert "12 times, 38% of its class" in shown
    assert not any("→" in text and "n003" not in text for text in shown)


@pytest.mark.parametrize("num_classes", [2, 10, 20, 21, 100])
def test_every_size_can_be_drawn(num_classes, tmp_path, png_size):
    counts = np.random.default_rng(0).integers(0, 30_000, (num_classes, num_classes))
    width, height = png_size(
        confusion_matrix(counts, [f"a rather long class name {i}" for i in range(num_classes)])
    )
    assert 500 < width < 2000 and 300 < height < 1600


def test_fractions_replace_long_counts():
    counts = np.array([[99_950_000, 50_000], [1_000_000, 3_000_000]])
    texts = {text.get_text() for text in confusion_matrix(counts, ["a", "b"], cells="shares").axes[0].texts}
    assert texts == {"100%", "0.1%", "25%", "75%"}
