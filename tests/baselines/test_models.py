"""Baselines: their predictions on data whose answer is known, and their place in a run's results."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from runner.baselines.compute import run_baselines
from runner.baselines.features import cepstral_statistics, image_features
from runner.baselines.language import NGramModel
from runner.baselines.models import compute_baselines
from runner.config.compose import compose
from runner.config.plain import to_plain
from runner.data.base import DataModule
from runner.training.components import make_data


def set_up(*overrides: str) -> DataModule:
    data = make_data(to_plain(compose([*overrides], None, []).config, []))
    data.prepare_data()
    data.setup("fit")
    return data


def test_linear_model_of_digits_matches_scikit_learn() -> None:
    data = set_up("data=digits")
    entries = {entry.name: entry for entry in compute_baselines(data)}
    assert list(entries) == ["majority class", "logistic regression"]
    images, labels = load_digits(return_X_y=True)
    train, val = data.splits["train"].indices.numpy(), data.splits["val"].indices.numpy()
    mean, std = images[train].mean(0), images[train].std(0)
    std[std == 0] = 1
    model = LogisticRegression(max_iter=100).fit((images[train] - mean) / std, labels[train])
    predicted = model.predict((images[val] - mean) / std)
    metrics = entries["logistic regression"].metrics["val"]
    # the model is fitted in float32, so a borderline sample may change sides
    assert metrics["accuracy"] == pytest.approx(accuracy_score(labels[val], predicted), abs=0.006)
    assert metrics["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(labels[val], predicted), abs=0.006
    )
    assert metrics["f1_macro"] == pytest.approx(f1_score(labels[val], predicted, average="macro"), abs=0.006)
    usual = np.bincount(labels[train]).argmax()
    assert entries["majority class"].metrics["val"]["accuracy"] == pytest.approx(
        (labels[val] == usual).mean()
    )


def test_regression_errors_are_in_the_unit_of_the_data() -> None:
    data = set_up("data=diabetes")
    entries = {entry.name: entry for entry in compute_baselines(data)}
    assert list(entries) == ["mean", "ridge regression", "gradient boosting"]
    _, targets = load_diabetes(return_X_y=True)
    train, val = data.splits["train"].indices.numpy(), data.splits["val"].indices.numpy()
    error = targets[val] - targets[train].mean()
    assert entries["mean"].metrics["val"]["rmse"] == pytest.approx(math.sqrt((error**2).mean()), rel=1e-6)
    assert entries["mean"].metrics["val"]["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-6)
    assert entries["ridge regression"].metrics["val"]["r2"] > 0.4


def test_forecasts_agree_with_the_naive_forecast_of_the_task() -> None:
    data = set_up("data=waves")
    entries = {entry.name: entry.metrics["val"] for entry in compute_baselines(data)}
    season, split = data.facts.extra["season_steps"], data.splits["val"]
    batch = split.__getitems__([(0, position) for position in range(len(split))])
    horizon = batch["standardized"].shape[1]
    for name, steps in (("last value", 1), ("last season", season)):
        repeated = batch["inputs"][:, -steps:].repeat(1, math.ceil(horizon / steps), 1)[:, :horizon]
        expected = ((repeated - batch["standardized"]) ** 2).mean()
        assert entries[name]["mse"] == pytest.approx(float(expected), rel=1e-5)
    assert entries["linear model of the window"]["mse"] < 0.5 * entries["last season"]["mse"]


def test_token_labels_are_counted_in_the_training_split() -> None:
    data = set_up("data=bracket_depth", "data.num_samples=200")
    (entry,) = compute_baselines(data)
    counts: dict[int, dict[int, int]] = {}
    train, val = data.splits["train"], data.splits["val"]
    for index in train.indices.tolist():
        for token, label in zip(*(part.tolist() for part in train.source[index]), strict=True):
            counts.setdefault(token, {}).setdefault(label, 0)
            counts[token][label] += 1
    right = total = 0
    for index in val.indices.tolist():
        for token, label in zip(*(part.tolist() for part in val.source[index]), strict=True):
            usual = min(counts[token], key=lambda each: (-counts[token][each], each))
            right, total = right + (usual == label), total + 1
    assert entry.metrics["val"]["accuracy"] == pytest.approx(right / total)


def test_only_n_grams_separate_texts_by_word_order(tmp_path: Path) -> None:
    rows = [f"{a} {b},{'early' if a < b else 'late'}" for a in "abcdefghi" for b in "abcdefghi" if a != b]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *rows * 3]))
    data = set_up("data=text_csv", f"data.path={tmp_path / 'texts.csv'}", "data.duplicates=keep")
    entries = {entry.name: entry.metrics["val"]["accuracy"] for entry in compute_baselines(data)}
    assert entries["TF-IDF + logistic regression"] > 0.9 > entries["majority class"]


def test_n_gram_model_is_a_witten_bell_distribution() -> None:
    tokens = np.random.default_rng(0).integers(0, 5, 400)
    model = NGramModel(3, 5).fit(tokens)
    for context in ([1, 2], [4, 4], [0, 3]):
        assert sum(model.probability([*context, token], 2) for token in range(5)) == pytest.approx(1)
    # after "0": one 1 and one 2 → T = 2, N = 2; unigrams 0 0 1 2: N = 4, T = 3, uniform 1/3
    small = NGramModel(2, 3).fit(np.array([0, 1, 0, 2]))
    unigram = (1 + 3 / 3) / (4 + 3)
    assert small.probability([0, 1], 1) == pytest.approx((1 + 2 * unigram) / (2 + 2))
    assert small.nats(np.array([0, 1])) == pytest.approx(-math.log((1 + 2 * unigram) / 4))


def test_image_features_depend_on_edges_and_not_on_brightness() -> None:
    stripes = torch.zeros(1, 48, 48)
    stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 200
    images = torch.stack([stripes, stripes.transpose(1, 2), stripes * 0.5]).repeat(1, 3, 1, 1).numpy()
    features = image_features(images.astype(np.uint8))
    assert features.shape == (3, 3 * 3 * 4 * 9 + 3 * 8 * 8)
    gradients = features[:, : 3 * 3 * 4 * 9]
    assert np.abs(gradients[0] - gradients[2]).max() < 0.05 < np.abs(gradients[0] - gradients[1]).max()


def test_missing_frames_do_not_change_cepstral_statistics() -> None:
    sound = np.random.default_rng(0).normal(size=(2, 40, 30)).astype(np.float32)
    padded = np.concatenate([sound, np.full((2, 40, 9), np.nan, np.float32)], axis=2)
    assert np.allclose(cepstral_statistics(sound), cepstral_statistics(padded), atol=1e-5)


def test_failing_baseline_is_logged_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    data = set_up("data=diabetes")
    data.splits["test"].source.targets[:] = math.nan
    entries = run_baselines(data, training_s=0)
    assert entries == []
    assert "a baseline was left out" in caplog.text
