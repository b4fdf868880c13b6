"""A new kind of problem is one Python file and one YAML file in a user's folder, and every verb works with
it.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from runner.cli import main
from runner.inference.load import load_model
from runner.run.directory import RunDir
from runner.run.files import read_json

PYTHON = '''
"""Counts of events and their Poisson rates."""

import csv

import torch
from matplotlib.figure import Figure
from torch import nn

from runner.data.base import DataModule
from runner.data.facts import Facts
from runner.data.split import ArraySource, Split
from runner.tasks.base import StepOutput, Task
from runner.tasks.explanation import ExplanationTarget, format_values

COLUMNS = ["rain", "traffic", "weekend"]


class CountData(DataModule):
    """Counts of events on a day, whose rate depends on the traffic."""

    def setup(self, stage=None):
        generator = torch.Generator().manual_seed(0)
        features = torch.rand(200, 3, generator=generator)
        counts = torch.poisson(torch.exp(3 * features[:, 1]), generator=generator)
        source, indices = ArraySource(features, counts, "day"), torch.arange(200)
        train, val = self.fold(indices[:140], indices[140:170])
        parts = {"train": train, "val": val, "test": indices[170:]}
        self.splits = {name: Split(source, part) for name, part in parts.items()}
        sizes = {f"num_{name}": len(part) for name, part in parts.items()}
        self.facts = Facts("counts", (3,), 1, **sizes, name="events", digest="1")

    def features(self):
        return [(name, name) for name in COLUMNS]

    def read_inputs(self, paths):
        for path in paths:
            with open(path) as file:
                for row in csv.DictReader(file):
                    yield row["day"], torch.tensor([float(row[name]) for name in COLUMNS])


class CountTask(Task):
    """Poisson regression: the model returns the log-rate of a count, (N, 1)."""

    monitor = "val/deviance"
    metric_modes = {"loss": "min", "deviance": "min"}
    served_as = "expected number of events"

    def __init__(self, model, optimizer=None, scheduler=None):
        super().__init__(model, optimizer, scheduler)
        self.loss = nn.PoissonNLLLoss()
        self.deviances = []

    def compute_loss(self, batch):
        log_rates, counts = self(batch["inputs"])[:, 0], batch["targets"]
        loss = self.loss(log_rates, counts)
        return StepOutput(loss, {"preds": log_rates.detach().exp(), "targets": counts})

    def update_metrics(self, outputs, split):
        rates, counts = outputs["preds"], outputs["targets"]
        self.deviances.append(2 * (torch.xlogy(counts, counts / rates) - counts + rates))

    def compute_metrics(self, split):
        deviance, self.deviances = torch.cat(self.deviances).mean(), []
        return {"deviance": float(deviance)}

    def figures(self, split, data):
        if self.outputs[split]:
            figure = Figure()
            figure.subplots().scatter(self.outputs[split]["preds"], self.outputs[split]["targets"])
            yield f"{split}_rates", figure

    def predict_outputs(self, inputs):
        return {"rate": self(inputs)[:, 0].exp()}

    def explanation_targets(self, request):
        def score(batch):
            return request.forward(batch)[:, 0]

        rate = float(score(request.inputs).detach().exp())
        truth = format_values(request.truth)
        return [ExplanationTarget(score, "log-rate", f"rate {rate:.3g}", unit="log-rate", truth=truth)]
'''
YAML = """\
# counts of events
data:
  _target_: my_counts.CountData
  batch_size: 20
task:
  _target_: my_counts.CountTask
model:
  hidden_sizes: [8]
optimizer:
  lr: 0.03
"""
QUIET = ["tracking=none", "hardware=cpu"]
DAYS = "day,rain,traffic,weekend\nmonday,0.5,0.9,0\nsunday,0.5,0.1,1\n"


def forget_module() -> None:
    sys.modules.pop("my_counts", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder with the two files and a finished run ``events``."""
    path = tmp_path_factory.mktemp("own_task")
    (path / "my_counts.py").write_text(PYTHON)
    (path / "counts.yaml").write_text(YAML)
    (path / "days.csv").write_text(DAYS)
    with pytest.MonkeyPatch.context() as patch:
        forget_module()
        patch.chdir(path)
        patch.setattr(sys, "path", list(sys.path))
        assert main(["train", "counts.yaml", "trainer.max_epochs=60", "run.name=events", *QUIET]) == 0
        yield path
        forget_module()


@pytest.fixture
def runner(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """``runner(*words)`` runs a command that must succeed, and returns its standard output."""
    monkeypatch.chdir(folder)

    def run(*words: str) -> str:
        capsys.readouterr()
        code = main(list(words))
        captured = capsys.readouterr()
        assert code == 0, captured.err
        return captured.out

    return run


def test_training_logs_metrics_and_draws_figures(folder: Path) -> None:
    run = RunDir(folder / "runs" / "events")
    results = read_json(run.results_path)
    assert {"val/deviance", "val/loss"} <= results["val"].keys()
    assert 0 < results["test"]["test/deviance"] < 4
    assert {"val_rates.png", "test_rates.png"} <= {path.name for path in (run.path / "plots").iterdir()}
    assert "test rates" in run.report_path.read_text()


def test_config_check_and_list(runner) -> None:
    assert "The config is valid" in runner("config", "check", "counts.yaml")
    assert main(["config", "check", "counts.yaml", "task.monitor=val/devience"]) == 2
    assert "mlp" in runner("list", "model")


def test_evaluate_repeats_the_metrics_of_training(runner, folder: Path) -> None:
    trained = read_json(RunDir(folder / "runs" / "events").results_path)["test"]["test/deviance"]
    evaluated = json.loads(runner("evaluate", "events", "--split", "test", "--json"))
    assert evaluated["test/deviance"] == pytest.approx(trained, rel=1e-6)


def test_predictions_are_the_outputs_by_default(runner) -> None:
    monday, sunday = json.loads(runner("predict", "events", "days.csv", "--json"))
    assert (monday["input"], sunday["input"]) == ("monday", "sunday") and set(monday) == {"input", "rate"}
    assert monday["rate"] > 2 * sunday["rate"] > 0


def test_served_model_returns_the_first_output(runner, folder: Path) -> None:
    model, example, description = load_model(RunDir(folder / "runs" / "events"))
    monday = json.loads(runner("predict", "events", "days.csv", "--json"))[0]["rate"]
    assert example.shape == (2, 3) and description == "expected number of events"
    assert model(torch.tensor([[0.5, 0.9, 0.0]])).tolist() == pytest.approx([monday])


def test_explanations(runner, folder: Path) -> None:
    importance = runner("explain", "events", "--repeats", "3")
    assert "permutation" in importance and "negative loss" in importance
    with open(folder / "runs" / "events" / "explanations" / "permutation" / "attributions.csv") as file:
        assert next(csv.DictReader(file))["column"] == "traffic"
    out = runner("explain", "events", "days.csv", "--output", "days", "--sanity")
    assert "integrated_gradients" in out and "log-rate" in out and "rank correlation" in out
    monday = json.loads((folder / "days" / "attributions.json").read_text())["explanations"][0]
    scores = {part["column"]: abs(part["score"]) for part in monday["columns"]}
    assert max(scores, key=scores.__getitem__) == "traffic"
    worst = ("--worst", "--samples", "2", "--method", "integrated_gradients", "--output", "worst")
    assert "truth" in runner("explain", "events", *worst)
    assert main(["explain", "events", "--target", "rate"]) == 2


def test_embeddings_are_the_input_of_the_last_layer(runner, folder: Path) -> None:
    assert "30 vectors of size 8" in runner("embed", "events", "--output", "vectors")
    assert np.loadtxt(folder / "vectors" / "vectors.tsv").shape == (30, 8)


def test_landscape_report_and_compare(runner, folder: Path) -> None:
    runner("landscape", "events", "--one-dimensional", "--resolution", "3")
    landscape = json.loads((folder / "runs" / "events" / "landscape" / "random_line.json").read_text())
    results = read_json(RunDir(folder / "runs" / "events").results_path)
    assert landscape["loss"] == pytest.approx(results["val"]["val/loss"], rel=1e-5)
    assert "report.html" in runner("report", "events")
    page = (folder / "runs" / "events" / "report.html").read_text()
    assert "random line" in page and "test rates" in page
    runner(
        "train",
        "counts.yaml",
        "trainer.max_epochs=1",
        "run.name=short",
        "plots=false",
        "baselines=false",
        *QUIET,
    )
    compared = runner("compare", "events", "short")
    assert "deviance" in compared and "max_epochs" in compared


def test_cross_validation_writes_targets_and_predictions(runner, folder: Path) -> None:
    quick = ("trainer.max_epochs=1", "plots=false", "baselines=false", "report=false", *QUIET)
    runner("train", "counts.yaml", "folds=2", "run.name=folds", *quick)
    with open(folder / "runs" / "folds" / "predictions.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 170 and {"target", "prediction"} <= rows[0].keys()


def test_options_that_the_task_does_not_support_are_rejected(runner, capsys) -> None:
    for words, message in (
        (("predict", "events", "--prompt", "one"), "is a run of count"),
        (("embed", "events", "--tokens"), "has no table of tokens"),
        (("explain", "events", "days.csv", "--step", "1"), "--step would have no effect"),
    ):
        capsys.readouterr()
        assert main(list(words)) == 2
        assert message in capsys.readouterr().err
