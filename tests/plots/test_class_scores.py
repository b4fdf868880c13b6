import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from runner.plots.class_scores import class_scores, score_classes
from runner.plots.confusion import count_confusion


def test_scores_match_scikit_learn():
    rng = np.random.default_rng(0)
    targets, preds = rng.integers(0, 5, 400), rng.integers(0, 4, 400)
    expected = precision_recall_fscore_support(targets, preds, labels=range(5), zero_division=0)
    assert np.allclose(score_classes(count_confusion(targets, preds, 5)), expected[:3])


def test_worst_class_is_on_top():
    ax = class_scores(np.array([[9, 1], [5, 5]]), ["cat", "dog"]).axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["dog", "cat"]
    assert ax.yaxis_inverted()


def test_worst_and_best_of_many_classes_are_drawn():
    counts = np.diag(np.arange(1, 101))
    counts[:, 0] += 10
    ax = class_scores(counts).axes[0]
    assert len(ax.get_yticklabels()) == 35
    assert any("65 classes between" in text.get_text() for text in ax.texts)


@pytest.mark.parametrize("num_classes", [1, 2, 40, 41])
def test_every_size_can_be_drawn(num_classes, png_size):
    png_size(
        class_scores(
            np.eye(num_classes, dtype=int), [f"a rather long class name {i}" for i in range(num_classes)]
        )
    )


def test_absent_classes_are_excluded_from_the_mean():
    counts = np.array(
        [[8, 0, 2, 0], [0, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    )  # the third is predicted, the last is not
    ax = class_scores(counts, list("abcd")).axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["c", "a", "b"]
    assert any("mean F1 0.630" in text.get_text() for text in ax.get_legend().get_texts()), (
        "(16/18 + 1 + 0) / 3"
    )
