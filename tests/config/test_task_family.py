"""Which data and models suit a user's task."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.config.checks.check import check_config
from runner.config.compose import compose
from runner.config.task_family import suitable_tasks

CODE = """
from runner.tasks.base import Task
from runner.tasks.classification import BinaryClassificationTask, ClassificationTask


class KappaTask(ClassificationTask):
    pass


class KappaOfTwo(BinaryClassificationTask):
    pass


class Declared(Task):
    pass


class Unrelated(Task):
    pass
"""
FACTS = "class_names: ${facts:class_names}\nclass_counts: ${facts:class_counts}\n"


@pytest.fixture
def own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_tasks.py").write_text(CODE, encoding="utf-8")
    folder = tmp_path / "conf/task"
    folder.mkdir(parents=True)
    (folder / "kappa.yaml").write_text(f"_target_: own_tasks.KappaTask\n{FACTS}", encoding="utf-8")
    (folder / "two.yaml").write_text(f"_target_: own_tasks.KappaOfTwo\n{FACTS}", encoding="utf-8")
    (folder / "other.yaml").write_text("_target_: own_tasks.Unrelated\n", encoding="utf-8")
    (folder / "declared.yaml").write_text(
        "# tasks: regression\n_target_: own_tasks.Declared\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("own_tasks", None)


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("kappa", ["kappa", "classification"]),
        ("two", ["two", "binary"]),
        ("other", ["other"]),
        ("declared", ["declared", "regression"]),
        ("binary", ["binary"]),
    ],
)
def test_nearest_packaged_base_class_counts(own_tasks: Path, task: str, names: list[str]) -> None:
    assert suitable_tasks(compose([f"task={task}"])) == names


def test_data_and_models_of_the_base_class_are_accepted(own_tasks: Path) -> None:
    assert check_config(compose(["task=kappa"])) == []


def test_data_of_other_tasks_are_rejected_with_the_suitable_ones(own_tasks: Path) -> None:
    (problem,) = check_config(compose(["task=kappa", "data=diabetes"]))
    assert (problem.key, problem.kind) == ("data", "incompatible")
    assert "data=diabetes is for regression" in str(problem) and "digits" in str(problem)
    problems = check_config(compose(["task=other"]))
    assert [(problem.key, problem.kind) for problem in problems] == [
        ("data", "incompatible"),
        ("model", "incompatible"),
    ]
    assert all("the task is other" in str(problem) for problem in problems)


def test_replaced_constructor_has_no_option(own_tasks: Path) -> None:
    composition = compose(["data._target_=own_tasks.KappaTask"])
    assert composition.option("data") is None and composition.choices["data"] == "digits"
