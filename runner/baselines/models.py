"""Baselines for each kind of data: which models, on which features, and their metrics."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from runner.baselines.features import cepstral_statistics, image_features
from runner.baselines.language import NGramModel
from runner.baselines.samples import Samples, batches, positions, read_arrays, read_tokens
from runner.data.base import DataModule

__all__ = ["Baseline", "compute_baselines"]

MAX_ROWS = 50_000
"""Training rows of a table, texts, or windows of a series."""
MAX_FILES = 3_000
"""Training images or sounds that are decoded."""
MAX_VALUES = 4_000_000
"""Training samples times values per sample, for linear models of images."""
MAX_TOKENS = 300_000
MAX_TARGETS = 5
"""Boosted trees are fitted to each target separately."""
FEW_TOKENS = 400
"""A vocabulary of this size consists of characters, for which longer n-grams are informative."""
IGNORE = -100

Predict = Callable[[Any], np.ndarray]
Split = dict[str, float]


@dataclass
class Baseline:
    """The results of one baseline.

    Attributes:
        name: name of the model in words.
        metrics: split → metric → value, with the names that the task uses.
        num_train: number of training samples used.
        seconds: duration of fitting and prediction.
        num_val: number of validation samples of the data set.
    """

    name: str
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    num_train: int = 0
    seconds: float = 0.0
    num_val: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values for ``results.json``."""
        return asdict(self)


def compute_baselines(data: DataModule) -> Iterator[Baseline]:
    """Fit and evaluate the baselines that suit the data, cheapest first.

    Args:
        data: a data module after ``setup``; its splits are read, its state does not change.

    Yields:
        One entry per baseline; none for tasks without baselines (detection, segmentation, word vectors …).
    """
    assert data.facts is not None
    task = data.facts.task
    if task in ("classification", "binary"):
        yield from classification(data)
    elif task == "regression":
        yield from regression(data)
    elif task == "forecasting":
        yield from forecasting(data)
    elif task == "labelling":
        yield from labelling(data)
    elif task == "language":
        yield from language(data)


def evaluated(
    name: str,
    fit: Callable[[], Predict],
    evaluation: dict[str, Samples],
    score: Callable[[np.ndarray, Any], Split],
    num_train: int,
) -> Baseline:
    """Fit one model and compute its metrics on every evaluation split."""
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model that has not converged is still a baseline
        predict = fit()
        metrics = {split: score(predict(part.inputs), part.targets) for split, part in evaluation.items()}
    return Baseline(name, metrics, num_train, round(time.monotonic() - started, 3))


def evaluation_splits(data: DataModule) -> list[str]:
    return [name for name in ("val", "test") if len(data.splits.get(name, ()))]


# Classification


def classification(data: DataModule) -> Iterator[Baseline]:
    """Majority class, then linear models and boosted trees on features that suit the inputs."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    assert data.facts is not None
    first, _ = data.splits["val"][0]
    is_text = first.ndim == 1 and not first.is_floating_point()
    vocab_size = int(data.facts.extra.get("vocab_size") or 0)
    is_sound = "sample_rate" in data.facts.extra
    is_table = first.ndim == 1 and not is_text
    most = MAX_ROWS if is_text or is_table or hasattr(data.splits["train"].source, "gather") else MAX_FILES
    read = read_tokens if is_text else read_arrays
    train = read(data, "train", most if is_text else min(most, MAX_VALUES // min(first.numel(), 1024)))
    evaluation = {name: read(data, name, most) for name in evaluation_splits(data)}
    classes = np.arange(data.facts.num_classes)

    def score(predicted: np.ndarray, targets: np.ndarray) -> Split:
        return classification_scores(predicted, targets.ravel().astype(int))

    targets = train.targets.ravel().astype(int)
    majority = int(np.bincount(targets, minlength=len(classes)).argmax())
    yield evaluated(
        "majority class", lambda: lambda x: np.full(len(x), majority), evaluation, score, len(train)
    )
    if len(np.unique(targets)) < 2:
        return
    if is_text:
        yield evaluated(
            "TF-IDF + logistic regression",
            lambda: text_classifier(train, targets, vocab_size),
            evaluation,
            score,
            len(train),
        )
        return
    if is_sound:
        describe: Callable[[np.ndarray], np.ndarray] = sound_features
        name, linear = "cepstral coefficients + linear SVM", LinearSVC(dual="auto", random_state=0)
    elif is_table:
        describe, name = flat, "logistic regression"
        linear = LogisticRegression(max_iter=500)
    else:
        describe = image_features if first.ndim == 3 else flat
        name = "gradient histograms + logistic regression"
        if first.numel() <= 1024 or first.ndim != 3:
            name = "logistic regression"
        linear = LogisticRegression(max_iter=100)
    features = describe(train.inputs)
    described = {
        split: Samples(describe(part.inputs), part.targets, part.num_all)
        for split, part in evaluation.items()
    }
    pipeline = make_pipeline(StandardScaler(), linear)
    yield evaluated(name, lambda: pipeline.fit(features, targets).predict, described, score, len(train))
    if is_table:
        yield evaluated(
            "gradient boosting",
            lambda: boosted(True).fit(features, targets).predict,
            described,
            score,
            len(train),
        )


def classification_scores(predicted: np.ndarray, targets: np.ndarray) -> Split:
    """Return the metrics that the classification task reports under the same names."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(targets, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(targets, predicted)),
        "f1_macro": float(f1_score(targets, predicted, average="macro", zero_division=0)),
    }


def text_classifier(train: Samples, targets: np.ndarray, vocab_size: int) -> Predict:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    longest = 4 if 0 < vocab_size <= FEW_TOKENS else 2

    def n_grams(ids: np.ndarray) -> list[tuple[int, ...]]:
        words = ids.tolist()
        return [
            tuple(words[start : start + length])
            for length in range(1, longest + 1)
            for start in range(len(words) - length + 1)
        ]

    vectorizer = TfidfVectorizer(analyzer=n_grams, sublinear_tf=True, min_df=1 if len(train) < 1000 else 2)
    model = LogisticRegression(C=10.0, max_iter=300).fit(vectorizer.fit_transform(train.inputs), targets)
    return lambda texts: model.predict(vectorizer.transform(texts))


def boosted(classifies: bool) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    return kind(random_state=0)


def flat(inputs: np.ndarray) -> np.ndarray:
    return np.nan_to_num(inputs.reshape(len(inputs), -1).astype(np.float32))


def sound_features(inputs: np.ndarray) -> np.ndarray:
    """Summarize spectrograms given as images ``(N, 1, M, T)`` or sequences ``(N, T, M)``."""
    return cepstral_statistics(inputs[:, 0] if inputs.ndim == 4 else inputs.transpose(0, 2, 1))


# Regression and forecasting


def regression(data: DataModule) -> Iterator[Baseline]:
    """Mean of the training targets, ridge regression, and boosted trees."""
    from sklearn.linear_model import RidgeCV
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    most = MAX_ROWS if hasattr(data.splits["train"].source, "gather") else MAX_FILES
    train = read_arrays(data, "train", most)
    describe = image_features if train.inputs.ndim == 4 else flat
    targets = train.targets.reshape(len(train), -1).astype(np.float64)
    features = describe(train.inputs)
    evaluation = {}
    for name in evaluation_splits(data):
        part = read_arrays(data, name, most)
        evaluation[name] = Samples(describe(part.inputs), part.targets, part.num_all)
    mean = targets.mean(0)
    yield evaluated(
        "mean", lambda: lambda x: np.tile(mean, (len(x), 1)), evaluation, regression_scores, len(train)
    )
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 7)))
    yield evaluated(
        "ridge regression",
        lambda: ridge.fit(features, targets).predict,
        evaluation,
        regression_scores,
        len(train),
    )
    if train.inputs.ndim == 2 and targets.shape[1] <= MAX_TARGETS:
        yield evaluated(
            "gradient boosting",
            lambda: MultiOutputRegressor(boosted(False)).fit(features, targets).predict,
            evaluation,
            regression_scores,
            len(train),
        )


def regression_scores(predicted: np.ndarray, targets: np.ndarray) -> Split:
    """Return the metrics that the regression task reports, as means over the targets."""
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    targets = targets.reshape(len(targets), -1).astype(np.float64)
    predicted = predicted.reshape(targets.shape)
    squares = mean_squared_error(targets, predicted, multioutput="raw_values")
    return {
        "rmse": float(np.sqrt(squares).mean()),
        "mae": float(mean_absolute_error(targets, predicted)),
        "r2": float(r2_score(targets, predicted)) if len(targets) > 1 else math.nan,
    }


def forecasting(data: DataModule) -> Iterator[Baseline]:
    """Last value, last season, and a linear model of the whole window.

    Errors are those of standardized values, as the forecasting task reports them.
    """
    from sklearn.linear_model import Ridge

    assert data.facts is not None
    extra = data.facts.extra
    columns, season = list(extra["target_columns"]), int(extra["season_steps"])
    train = read_windows(data, "train", MAX_ROWS // 5)
    evaluation = {name: read_windows(data, name, MAX_ROWS) for name in evaluation_splits(data)}
    horizon = train.targets.shape[1]

    def repeated(season_steps: int) -> Predict:
        steps = np.arange(horizon) % season_steps
        return lambda x: x[:, x.shape[1] - season_steps + steps][:, :, columns]

    yield evaluated("last value", lambda: repeated(1), evaluation, forecast_scores, len(train))
    if season > 1:
        yield evaluated("last season", lambda: repeated(season), evaluation, forecast_scores, len(train))

    def linear() -> Predict:
        known = ~np.isnan(train.targets).any((1, 2))
        last = train.inputs[known][:, -1:, columns]
        model = Ridge(1.0).fit(
            relative(train.inputs[known]), (train.targets[known] - last).reshape(known.sum(), -1)
        )
        return lambda x: model.predict(relative(x)).reshape(len(x), horizon, -1) + x[:, -1:, columns]

    def relative(windows: np.ndarray) -> np.ndarray:
        return (windows - windows[:, -1:]).reshape(len(windows), -1)

    yield evaluated("linear model of the window", linear, evaluation, forecast_scores, len(train))


def read_windows(data: DataModule, name: str, most: int) -> Samples:
    """Read windows and their targets, both standardized: ``(N, L, F)`` and ``(N, H, K)``."""
    split = data.splits[name]
    parts = list(batches(split, positions(split, most)))
    inputs = np.concatenate([part["inputs"].numpy() for part in parts])
    targets = np.concatenate([part["standardized"].numpy() for part in parts])
    return Samples(inputs, targets.astype(np.float64), len(split))


def forecast_scores(predicted: np.ndarray, targets: np.ndarray) -> Split:
    errors = predicted.astype(np.float64) - targets
    return {"mse": float(np.nanmean(errors**2)), "mae": float(np.nanmean(np.abs(errors)))}


# Sequences


def labelling(data: DataModule) -> Iterator[Baseline]:
    """The most frequent label of each token in training; of all tokens for unknown ones."""
    assert data.facts is not None
    first, _ = data.splits["val"][0]
    if first.is_floating_point():
        return
    train = read_tokens(data, "train", MAX_ROWS)
    evaluation = {name: read_tokens(data, name, MAX_ROWS) for name in evaluation_splits(data)}
    num_classes = data.facts.num_classes

    def fit() -> Predict:
        ids, labels = np.concatenate(train.inputs), np.concatenate(train.targets)
        ids, labels = ids[labels != IGNORE], labels[labels != IGNORE]
        counts = np.zeros((int(ids.max()) + 1, num_classes))
        np.add.at(counts, (ids, labels), 1)
        usual = np.where(counts.any(1), counts.argmax(1), counts.sum(0).argmax())

        def predict(texts: list[np.ndarray]) -> np.ndarray:
            tokens = np.concatenate(texts)
            known = tokens < len(usual)
            return np.where(known, usual[np.where(known, tokens, 0)], counts.sum(0).argmax())

        return predict

    def score(predicted: np.ndarray, targets: list[np.ndarray]) -> Split:
        labels = np.concatenate(targets)
        return {"accuracy": float((predicted == labels)[labels != IGNORE].mean())}

    yield evaluated("most frequent label of each token", fit, evaluation, score, len(train))


def language(data: DataModule) -> Iterator[Baseline]:
    """An n-gram model of up to five characters or three words."""
    assert data.facts is not None
    vocab_size = data.facts.num_outputs
    order = 5 if vocab_size <= FEW_TOKENS else 3
    started = time.monotonic()
    train: Any = data.splits["train"]
    tokens = np.asarray(train.tokens[:MAX_TOKENS], dtype=np.int64)
    model = NGramModel(order, vocab_size).fit(tokens)
    metrics = {}
    for name in evaluation_splits(data):
        split: Any = data.splits[name]
        ids = np.asarray(split.tokens[: MAX_TOKENS // 5], dtype=np.int64)
        if len(ids) < 2:
            continue
        nats = model.nats(ids)
        chars = split.count_chars([(0, len(ids) - 1, True)], torch.from_numpy(ids[1:]))
        metrics[name] = {
            "loss": nats / (len(ids) - 1),
            "perplexity": math.exp(min(nats / (len(ids) - 1), 700.0)),
            "bits_per_character": nats / math.log(2) / max(chars, 1),
        }
    yield Baseline(f"{order}-gram model", metrics, len(tokens), round(time.monotonic() - started, 3))
