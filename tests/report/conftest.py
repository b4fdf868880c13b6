import json
from pathlib import Path

import numpy as np
import pytest

from runner.plots.confusion import confusion_matrix
from runner.plots.style import to_png
from runner.run.directory import RunDir
from runner.run.files import write_json
from runner.run.journal import Journal

CONFIG = """\
task:
  _target_: runner.tasks.classification.ClassificationTask
data:
  _target_: runner.data.images.digits.DigitsDataModule
  batch_size: 32
model:
  _target_: runner.models.mlp.MLP
  hidden_sizes: [64]
optimizer:
  _target_: torch.optim.AdamW
  lr: 0.001
trainer:
  max_epochs: 3
run:
  root: runs
  name: null
seed: 0
"""
CLASSES = ["zero", "one", "<script>alert('two')</script>"]


@pytest.fixture
def config_text():
    return CONFIG


@pytest.fixture
def results_of():
    """Makes the results of a run: ``results_of(test_accuracy)``."""
    return _results_of


def _results_of(accuracy: float = 0.9712) -> dict:
    return {
        "best": {
            "checkpoint": "step-00000020.ckpt",
            "step": 20,
            "epoch": 1,
            "monitor": "val/accuracy",
            "value": accuracy + 0.01,
        },
        "val": {"val/loss": 0.1234, "val/accuracy": accuracy + 0.01},
        "test": {"test/loss": 0.2, "test/accuracy": accuracy},
        "num_parameters": 21289802,
        "num_trainable": 1026,
        "seconds": 83.2,
        "step": 30,
        "epoch": 3,
    }


def write_metrics(path: Path) -> None:
    journal = Journal(path)
    for step in range(1, 31):
        journal.log(step, (step - 1) // 10, {"train/loss": 2 / step, "train/lr": 0.001 * (1 - step / 40)})
        if step % 10 == 0:
            journal.log(step, (step - 1) // 10, {"val/loss": 2.5 / step, "val/accuracy": 1 - 1 / step})
    journal.close()


@pytest.fixture(scope="session")
def small_png(tmp_path_factory):
    path = tmp_path_factory.mktemp("png") / "small.png"
    return to_png(confusion_matrix(np.diag([3, 2, 2]), CLASSES), path, dpi=50).read_bytes()


@pytest.fixture
def make_run(tmp_path, small_png):
    """Makes a run directory: ``make_run(name, state=…, config=text, results=dict | None)``."""

    def make(name="first", state="finished", config=CONFIG, results=..., reason=None, plots=True, **status):
        run = RunDir(tmp_path / "runs" / name)
        for folder in (run.checkpoints, run.plots, run.logs):
            folder.mkdir(parents=True)
        run.config_path.write_text(config)
        times = {"started_at": 1.79e9, "ended_at": 1.79e9 + 83.2} if state == "finished" else {}
        write_json(
            run.status_path, {"state": state, "reason": reason, "step": 30, "epoch": 3} | times | status
        )
        write_json(
            run.provenance_path,
            {
                "command": ["/usr/bin/runner", "train", "model=mlp", "run.tags=[a b]"],
                "created_at": "2026-11-21T10:04:59+0000",
                "git": {
                    "revision": "0123456789abcdef",
                    "branch": "main",
                    "dirty": True,
                    "diff_file": "git.diff",
                },
                "packages": {"torch": "2.15.0", "numpy": "2.3"},
                "python": "3.11.7",
                "platform": "Linux",
                "hardware": {"cpu_count": 2, "cpu": "A <fast> processor"},
                "seed": 0,
            },
        )
        write_json(
            run.facts_path,
            {
                "name": "digits",
                "task": "classification",
                "input_shape": [1, 8, 8],
                "num_outputs": 3,
                "class_names": CLASSES,
                "class_counts": [10, 20, 5],
                "num_train": 35,
                "num_val": 5,
                "num_test": 7,
                "source": "scikit-learn",
                "digest": "sha256:abc",
            },
        )
        write_metrics(run.metrics_path)
        outcome = (_results_of() if state == "finished" else None) if results is ... else results
        if outcome is not None:
            run.results_path.write_text(json.dumps(outcome))
        if plots and outcome is not None:
            for plot in ("test_confusion", "curves", "learning_rate"):
                (run.plots / f"{plot}.png").write_bytes(small_png)
        return run

    return make
