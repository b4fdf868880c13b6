from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from runner.cli.arguments import split_experiment
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import process_started_at, read_status, write_status

QUICK = [
    "tracking=none",
    "hardware=cpu",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=3",
    "plots=false",
    "baselines=false",
]


def test_run_directory_is_complete(trained: Path) -> None:
    run = RunDir(trained / "first")
    assert read_status(run).state == "finished"
    assert read_json(run.results_path)["test"]["test/accuracy"] > 0.3
    assert read_json(run.provenance_path)["command"][:3] == ["runner", "train", "model=mlp"]
    assert OmegaConf.load(run.config_path).model.num_classes == 10
    assert run.report_path.is_file() and [*run.plots.glob("*.png")]


def test_prints_plan_results_and_next_commands(say) -> None:
    said = say("train", *QUICK, "auto=false", "run.name=told")
    assert said.code == 0, said.err
    assert "mlp, " in said.out and "1079 train" in said.out and "runs/told" in said.out
    assert said.out.index("runs/told") < said.out.index("accuracy")
    assert "runner predict told INPUT" in said.out


def test_invalid_input_creates_no_run(say, here: Path) -> None:
    said = say("train", "modle=mlp", "optimizer.lr=-1", "data.batch_size=0")
    assert said.code == 2
    assert said.err.startswith("error: 3 mistakes in the config:")
    assert not (here / "runs").exists()


def test_experiment_file_with_a_value_changed(say, here: Path) -> None:
    (here / "mine.yaml").write_text(
        "defaults:\n  - override /model: logistic\nseed: 5\noptimizer:\n  lr: 0.5\n"
    )
    said = say("train", "mine.yaml", "seed=6", *QUICK, "run.name=mine")
    assert said.code == 0, said.err
    config = OmegaConf.load(here / "runs" / "mine" / "config.yaml")
    assert (config.seed, config.optimizer.lr) == (6, 0.5)
    assert config.model._target_.endswith("Logistic")


def test_overrides_may_be_mixed_with_options(say) -> None:
    said = say("train", "model=logistic", "--cfg", "job", "seed=4")
    assert said.code == 0
    config = OmegaConf.create(said.out)
    assert config.seed == 4 and config.model._target_.endswith("Logistic")


def test_cfg_resolved(say) -> None:
    said = say("train", "--cfg", "job", "--resolve", "regularization.dropout=0.25")
    assert OmegaConf.create(said.out).model.dropout == 0.25


def test_cfg_hydra_and_all(say) -> None:
    hydra = OmegaConf.create(say("train", "--cfg", "hydra").out)
    assert list(hydra) == ["hydra"] and "launcher" in hydra.hydra
    assert "hydra:" in say("train", "--cfg", "all").out and "optimizer:" in say("train", "--cfg", "all").out


def test_cfg_shows_problems(say) -> None:
    assert say("train", "--cfg", "job", "modle=mlp").code == 2


def test_user_model_from_user_folder(say, here: Path) -> None:
    (here / "my_network.py").write_text(
        "from torch import nn\n\n\n"
        "class Tiny(nn.Sequential):\n"
        "    def __init__(self, in_features: int, num_classes: int):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(in_features, num_classes))\n"
    )
    folder = here / "groups" / "model"
    folder.mkdir(parents=True)
    (folder / "tiny.yaml").write_text(
        "_target_: my_network.Tiny\nin_features: ${facts:in_features}\nnum_classes: ${facts:num_outputs}\n"
    )
    said = say("train", "model=tiny", "--config-dir", "groups", *QUICK, "run.name=own")
    assert said.code == 0, said.err
    assert OmegaConf.load(here / "runs" / "own" / "config.yaml").model.in_features == 64


def test_allow_package_extends_the_allow_list(say, monkeypatch) -> None:
    monkeypatch.delenv("RUNNER_ALLOW_PACKAGES", raising=False)
    words = ["train", "model._target_=collections.OrderedDict", "--cfg", "job"]
    assert say(*words).code == 0  # printing constructs nothing
    assert say("train", "model._target_=fractions.Fraction").code == 2
    import os

    monkeypatch.setenv("RUNNER_ALLOW_PACKAGES", "one")
    say("train", "--allow-package", "two", "--allow-package", "one", "--cfg", "job")
    assert os.environ["RUNNER_ALLOW_PACKAGES"] == "one,two"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], (None, [])),
        (["a.yaml"], ("a.yaml", [])),
        (["a.yml", "b=1"], ("a.yml", ["b=1"])),
        (["b=1"], (None, ["b=1"])),
        (["weights=a.yaml"], (None, ["weights=a.yaml"])),
    ],
)
def test_split_experiment(words, expected) -> None:
    assert split_experiment(words) == expected


def test_resume_continues(say, here: Path) -> None:
    assert say("train", *QUICK, "run.name=again").code == 0
    run = RunDir(here / "runs" / "again")
    write_status(run, state="interrupted")
    run.results_path.unlink()
    said = say("resume", "again")
    assert said.code == 0, said.err
    assert read_status(run).state == "finished" and read_status(run).attempt == 2
    assert json.loads(run.results_path.read_text())["val"]


def test_resume_of_a_finished_run(say, trained: Path) -> None:
    said = say("resume", "first", "--root", str(trained))
    assert said.code == 0
    assert "is finished" in said.out


def test_resume_of_a_running_run(say, here: Path) -> None:
    run = RunDir.create("runs", "busy")
    run.config_path.write_text("launcher: {kind: local}\nhardware: {devices: 1}\n")
    other = os.getppid()
    write_status(
        run,
        state="running",
        attempt=1,
        pid=other,
        pid_started_at=process_started_at(other),
        host=socket.gethostname(),
    )
    said = say("resume", "busy")
    assert said.code == 2
    assert "busy is running" in said.err
