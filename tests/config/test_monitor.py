import pytest

from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.config.monitor import mode_of, monitor_of, scheduler_node
from runner.config.plain import to_plain
from runner.errors import Problem
from runner.tasks.base import Task
from runner.tasks.classification import ClassificationTask

DIGITS = ["model=mlp", "data=digits"]


def problems(*overrides: str) -> list[Problem]:
    return check_config(compose([*DIGITS, *overrides]))


def test_every_logged_metric_is_accepted() -> None:
    for name in ("val/loss", "val/f1_macro", "val/calibration_error", "train/accuracy", "train/epoch_loss"):
        assert problems(f"task.monitor={name}") == [], name


def test_mistyped_metric_is_reported_with_the_nearest_one() -> None:
    [found] = problems("task.monitor=val/acuracy")
    assert (found.key, found.kind) == ("task.monitor", "unknown_option")
    assert "task.monitor=val/acuracy" in found.message and "val/accuracy" in found.suggestion
    [found] = problems("task.monitor=accuracy")
    assert (found.key, found.kind) == ("task.monitor", "invalid_value")
    assert "val/accuracy" in found.suggestion
    [found] = problems("scheduler=plateau", "scheduler.monitor=val/lss")
    assert (found.key, found.kind) == ("scheduler.monitor", "unknown_option")
    assert "scheduler.monitor=val/lss" in found.message and "val/loss" in found.suggestion


def test_test_metrics_are_never_monitored() -> None:
    [found] = problems("task.monitor=test/accuracy")
    assert found.kind == "invalid_value" and "validation or training split" in found.message


def test_mode_needs_a_metric_and_is_min_or_max() -> None:
    [found] = problems("task.monitor_mode=max")
    assert (found.key, found.kind) == ("task.monitor_mode", "no_effect")
    assert "without task.monitor" in found.message
    [found] = problems("task.monitor=val/loss", "task.monitor_mode=largest")
    assert (found.key, found.kind) == ("task.monitor_mode", "invalid_value") and "min" in found.message


class OwnTask(Task):
    """A task with a constructor that names neither ``monitor`` nor ``monitor_mode``, as a user may write
    it."""

    def __init__(self, model, optimizer=None, scheduler=None):
        super().__init__(model, optimizer, scheduler)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("val/loss", "min"), ("val/top5_error", "min"), ("val/dice_macro", "max"), ("val/my_score", None)],
)
def test_mode_of_a_metric_is_read_from_its_name_where_it_shows(name: str, mode: str | None) -> None:
    assert mode_of(OwnTask, name) == mode


def test_mode_of_a_known_metric_is_the_tasks() -> None:
    assert mode_of(ClassificationTask, "val/calibration_error") == "min"
    assert mode_of(ClassificationTask, "val/pr_auc") == "max"


def plain(*overrides: str) -> dict:
    return to_plain(compose([*DIGITS, *overrides]).config, [])


def test_plateau_schedule_follows_the_monitored_metric() -> None:
    def found(*overrides: str) -> tuple[str, str]:
        node = scheduler_node(plain("scheduler=plateau", *overrides))
        return node["monitor"], node["mode"]

    assert found() == ("val/loss", "min")
    assert found("task.monitor=val/f1_macro") == ("val/f1_macro", "max")
    assert found("scheduler.monitor=val/accuracy") == ("val/accuracy", "max")
    assert found("scheduler.monitor=val/accuracy", "scheduler.mode=min") == ("val/accuracy", "min")


def test_regression_of_several_targets_is_monitored_by_the_standardised_loss() -> None:
    node = {"_target_": "runner.tasks.regression.RegressionTask"}
    assert monitor_of({"task": node, "data": {"target": ["a", "b"]}}) == ("val/loss", "min")
    assert monitor_of({"task": node, "data": {"target": "a"}}) == ("val/rmse", "min")
    assert monitor_of({"task": node | {"monitor": "val/r2/a"}, "data": {}}) == ("val/r2/a", "max")


@pytest.mark.parametrize(
    "words", [["task.monitor=train/loss"], ["scheduler=plateau", "scheduler.monitor=train/loss"]]
)
def test_loss_of_single_steps_cannot_be_monitored(words):
    [found] = problems(*words)
    key = words[-1].partition("=")[0]
    assert (found.key, found.kind) == (key, "unknown_option")
    assert "single steps" in found.message and f"{key}=train/epoch_loss" in found.suggestion
