"""Checks of ``task.metrics``, and of a monitored metric that is one of them."""

from __future__ import annotations

import pytest

from runner.config.allow_list import resolve_target
from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.config.monitor import higher_is_better, monitor_of
from runner.config.plain import to_plain
from runner.errors import ConfigError, Problem

KAPPA = [
    "task.metrics.kappa._target_=torchmetrics.CohenKappa",
    "task.metrics.kappa.task=multiclass",
    "task.metrics.kappa.num_classes='${facts:num_classes}'",
]


def problems(*overrides: str) -> list[Problem]:
    return check_config(compose(list(overrides)))


@pytest.mark.parametrize(
    "task",
    ["classification", "binary", "regression", "segmentation", "labelling", "forecasting", "word_vectors"],
)
def test_every_task_accepts_metrics(task: str) -> None:
    assert not [
        p for p in problems(f"task={task}", *KAPPA) if p.concerns("task") or str(p).startswith("task")
    ]


def test_metric_may_be_monitored() -> None:
    composition = compose([*KAPPA, "task.monitor=val/kappa"])
    assert check_config(composition) == []
    assert monitor_of(to_plain(composition.config, [])) == ("val/kappa", "max")


def test_metric_without_direction_needs_a_mode() -> None:
    mean = ["task.metrics.mean._target_=torchmetrics.aggregation.MeanMetric", "task.monitor=val/mean"]
    (problem,) = problems(*mean)
    assert (problem.key, problem.kind) == ("task.monitor_mode", "missing")
    assert "task.monitor_mode=min" in problem.suggestion
    assert problems(*mean, "task.monitor_mode=max") == []


def test_misspelled_metric_is_reported_with_the_nearest() -> None:
    (problem,) = problems(*KAPPA, "task.monitor=val/kapa")
    assert (problem.key, problem.kind) == ("task.monitor", "unknown_option")
    assert "val/kapa" in problem.message and "'val/kappa'" in problem.suggestion


def test_names_of_the_task_itself_are_taken() -> None:
    (problem,) = problems("task.metrics.accuracy._target_=torchmetrics.aggregation.MeanMetric")
    assert (problem.key, problem.kind) == ("task.metrics.accuracy", "duplicate")
    assert problem.message.startswith("task.metrics.accuracy: ClassificationTask already logs val/accuracy")


@pytest.mark.parametrize(
    ("override", "kind", "words"),
    [
        ("task.metrics.kappa._target_=torch.nn.ReLU", "wrong_type", "expected a Metric"),
        ("task.metrics.kappa._target_=torchmetrics.CohenKapa", "not_found", "Did you mean 'CohenKappa'"),
        ("task.metrics.kappa._target_=os.system", "not_allowed", "not allowed"),
        ("task.metrics.kappa=3", "wrong_type", "task.metrics.kappa"),
    ],
)
def test_anything_but_a_metric_is_rejected(override: str, kind: str, words: str) -> None:
    (problem,) = problems(override)
    assert problem.concerns("task.metrics.kappa") and problem.kind == kind
    assert problem.message.startswith("task.metrics.kappa") and words in str(problem)


def test_direction_of_a_metric_follows_from_its_class() -> None:
    for name, expected in (
        ("torchmetrics.CohenKappa", True),
        ("torchmetrics.regression.MeanAbsolutePercentageError", False),
        ("torchmetrics.aggregation.MeanMetric", None),
    ):
        assert higher_is_better(resolve_target(name)) is expected


def test_text_metrics_that_load_a_network_stay_excluded() -> None:
    assert resolve_target("torchmetrics.text.chrf.CHRFScore")
    with pytest.raises(ConfigError, match="not allowed"):
        resolve_target("torchmetrics.text.bert.BERTScore")
