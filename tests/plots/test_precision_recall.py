import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from runner.plots.class_scores import precision_recall_roc, rank


@pytest.mark.parametrize("decimals", [10, 1])
def test_areas_match_scikit_learn_including_ties(decimals):
    rng = np.random.default_rng(0)
    scores = rng.random(300).round(decimals)
    targets = (rng.random(300) < scores).astype(int)
    ranking = rank(np.stack([1 - scores, scores], 1), targets)[1]
    assert ranking.average_precision == pytest.approx(average_precision_score(targets, scores))
    assert ranking.area == pytest.approx(roc_auc_score(targets, scores))


def test_class_without_samples_has_no_curve():
    probs = np.random.default_rng(0).random((20, 4))
    assert sorted(rank(probs, np.arange(20) % 3)) == [0, 1, 2]


def test_hardest_of_many_classes_are_named(png_size):
    rng = np.random.default_rng(0)
    targets = np.arange(400) % 20
    probs = rng.random((400, 20))
    probs[np.arange(400), targets] += 0.05 * targets
    fig = precision_recall_roc(probs, targets, [f"class {k}" for k in range(20)])
    names = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert len(names) == 5 and all(int(name.split()[1]) < 8 for name in names)
    png_size(fig)


def test_single_class_is_reported(png_size):
    fig = precision_recall_roc(np.array([[0.2, 0.8]]), np.array([1]))
    assert "nothing to rank" in fig.axes[0].texts[0].get_text()
    png_size(fig)
