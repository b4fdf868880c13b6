"""Every example of docs/custom-parts.md trains as documented, and its tables agree with the code."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.config.facts import is_placeholder
from runner.config.groups import find_groups
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.tasks.base import Task
from runner.tasks.classification import BinaryClassificationTask, ClassificationTask
from runner.tasks.detection import DetectionTask
from runner.tasks.forecasting import ForecastingTask
from runner.tasks.labelling import LabellingTask
from runner.tasks.language import LanguageTask
from runner.tasks.regression import RegressionTask
from runner.tasks.segmentation import SegmentationTask
from runner.tasks.seq2seq import Seq2SeqTask
from runner.tasks.word_vectors import WordVectorsTask

PAGE = Path(__file__).resolve().parents[2] / "docs/custom-parts.md"
FILE = re.compile(r"```\w+\n# (?P<path>[\w/]+\.(?:py|yaml))\n(?P<text>.*?)```", re.DOTALL)
COMMAND = re.compile(r"^runner train (.*)$", re.MULTILINE)
QUICK = [
    "trainer.max_epochs=1",
    "tracking=none",
    "plots=false",
    "report=false",
    "hardware=cpu",
    "run.name=mine",
]
TASKS: tuple[type[Task], ...] = (
    ClassificationTask,
    BinaryClassificationTask,
    RegressionTask,
    ForecastingTask,
    LabellingTask,
    SegmentationTask,
    LanguageTask,
    WordVectorsTask,
    DetectionTask,
    Seq2SeqTask,
)


@pytest.fixture
def project(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with all files of the page."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = []
    for match in FILE.finditer(PAGE.read_text(encoding="utf-8")):
        path = here / match["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(match["text"], encoding="utf-8")
        modules += [path.stem] if path.suffix == ".py" else []
    yield here
    for name in modules:
        sys.modules.pop(name, None)


def commands() -> list[str]:
    return COMMAND.findall(PAGE.read_text(encoding="utf-8"))


def table(heading: str) -> dict[str, str]:
    """The rows below a heading of the page: first cell → second cell."""
    text = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = text.partition(f"\n{heading}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    return dict(rows[1:])


def test_page_shows_an_example_of_each_part() -> None:
    words = " ".join(commands())
    for part in ("model=two_layers", "data._target_=", "data=dataset", "data=rings", "task.loss._target_="):
        assert part in words
    for part in ("task.metrics.", "task=margin", "task=reconstructing"):
        assert part in words


@pytest.mark.parametrize("command", commands())
def test_each_example_trains(say, project: Path, command: str) -> None:
    result = say("train", *shlex.split(command), *QUICK)
    assert result.code == 0, result.err
    run = RunDir(project / "runs/mine")
    results = read_json(run.results_path)
    monitor = re.search(r"task\.monitor=(\S+)", command)
    assert results["best"]["monitor"] == (monitor[1] if monitor else "val/accuracy")
    assert results["best"]["value"] == pytest.approx(results["val"][results["best"]["monitor"]])
    assert not any(map(is_placeholder, read_json(run.facts_path).values()))


def test_facts_of_the_documented_data_set(say, project: Path) -> None:
    assert say("train", "data=rings", *QUICK).code == 0
    facts = read_json(RunDir(project / "runs/mine").facts_path)
    assert facts["input_shape"] == [2] and facts["num_outputs"] == 5
    assert (facts["num_train"], facts["num_val"], facts["num_test"]) == (180, 60, 60)


def test_model_that_the_overridden_check_rejects(say, project: Path) -> None:
    result = say("train", "task=reconstructing", "model._target_=my_models.TwoLayers", *QUICK)
    assert (
        result.code == 2 and "TwoLayers must return logits of 10 classes and a reconstruction" in result.err
    )
    assert not (project / "runs/mine").exists()


def test_missing_output_is_reported_before_the_first_step(say, project: Path) -> None:
    code = project / "my_two_outputs.py"
    text = code.read_text(encoding="utf-8")
    code.write_text(text.replace('{"logits": logits.detach(), "targets": targets}', '{"targets": targets}'))
    result = say("train", "task=reconstructing", "model=two_outputs", "regularization=none", *QUICK)
    assert result.code == 2, result.err
    assert "ReconstructingTask.compute_loss did not return outputs['logits']" in result.err
    assert "Traceback" not in result.err and not (project / "runs/mine").exists()


def test_table_of_required_outputs_agrees_with_the_code() -> None:
    rows = table("### Required outputs")
    documented = {
        name: set(re.findall(r"`([a-z]+)`", outputs))
        for cell, outputs in rows.items()
        for name in re.findall(r"`(\w+)`", cell)
    }
    assert documented == {task.__name__: set(task.required_outputs) for task in TASKS}


def test_tables_of_losses_and_metrics_name_every_task() -> None:
    options = {name for name, option in find_groups()["task"].items() if option.path.parent.name == "task"}
    assert set(table("## Your own metric")) == options
    assert set(table("## Your own loss")) == options - {"language", "seq2seq", "word_vectors", "detection"}
