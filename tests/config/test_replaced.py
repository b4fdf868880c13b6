"""Arguments of a replaced constructor: inherited ones are dropped, those the user set are reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.config.replaced import accepted_names

CODE = """
from torch import nn

from runner.tasks.classification import ClassificationTask


class HalfMSE(nn.Module):
    def forward(self, logits, targets):
        return 0.5 * ((logits - targets) ** 2).mean()


class KappaTask(ClassificationTask):
    def __init__(self, *args, power: float = 1.0, **kwargs):
        super().__init__(*args, **kwargs)


def build_loss(**kwargs) -> nn.Module:
    return nn.CrossEntropyLoss(**kwargs)
"""


@pytest.fixture
def own_code(write_module: Callable[[str, str], Path]) -> Path:
    return write_module("own_parts", CODE)


def test_inherited_arguments_are_dropped_with_a_note(own_code: Path) -> None:
    composition = compose(["task.loss._target_=own_parts.HalfMSE"])
    assert composition.config.task.loss == {"_target_": "own_parts.HalfMSE"}
    (note,) = composition.notes
    assert note.startswith("task.loss: label_smoothing ") and "own_parts.HalfMSE" in note
    assert check_config(composition) == []


def test_arguments_that_both_constructors_accept_are_kept(own_code: Path) -> None:
    optimizer = compose(["optimizer._target_=torch.optim.SGD"]).config.optimizer
    assert optimizer.lr == compose().config.optimizer.lr and optimizer._partial_ is True


@pytest.mark.parametrize("argument", ["task.loss.label_smoothing=0.1", "regularization.label_smoothing=0.1"])
def test_argument_that_the_user_set_is_an_error(own_code: Path, argument: str) -> None:
    composition = compose(["task.loss._target_=own_parts.HalfMSE", argument])
    (problem,) = check_config(composition)
    key = argument.partition("=")[0]
    kind = "unknown_key" if key.startswith("task") else "no_effect"
    assert (problem.key, problem.kind) == (key, kind) and key in problem.message


def test_option_file_may_replace_the_constructor_of_a_file_it_extends(own_code: Path) -> None:
    (own_code / "conf/task").mkdir(parents=True)
    (own_code / "conf/task/half.yaml").write_text(
        "defaults: [classification, _self_]\nloss:\n  _target_: own_parts.HalfMSE\n", encoding="utf-8"
    )
    composition = compose(["task=half"])
    assert composition.config.task.loss == {"_target_": "own_parts.HalfMSE"}
    assert check_config(composition) == []


def test_experiment_file_may_replace_a_constructor(own_code: Path) -> None:
    (own_code / "half.yaml").write_text("task:\n  loss:\n    _target_: own_parts.HalfMSE\n", encoding="utf-8")
    assert compose([], "half.yaml").config.task.loss == {"_target_": "own_parts.HalfMSE"}


def test_keyword_arguments_are_those_of_the_base_classes(own_code: Path) -> None:
    names = accepted_names("own_parts.KappaTask")
    assert names is not None and {"power", "class_names", "class_counts", "loss"} <= names
    assert accepted_names("own_parts.HalfMSE") == set()
    assert accepted_names("own_parts.build_loss") is None
    assert accepted_names("own_parts.Missing") is None
