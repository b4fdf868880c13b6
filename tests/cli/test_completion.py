from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from runner.cli import completion

LAST = Namespace(overrides=[], config_dir=[])


def test_groups_and_top_level_keys_are_proposed(here) -> None:
    proposals = completion.overrides("", LAST)
    assert {"model=", "data=", "optimizer=", "seed=", "trainer.max_epochs="} <= set(proposals)
    assert not [name for name in proposals if name.startswith("optimizer.")]
    assert "defaults=" not in proposals and not [name for name in proposals if "_target_" in name]


def test_options_of_a_group(here) -> None:
    assert {"model=mlp", "model=resnet34"} <= set(completion.overrides("model=", LAST))
    assert completion.overrides("modle=", LAST) == []


def test_options_within_a_sweep_and_after_a_plus(here) -> None:
    assert "model=mlp,logistic" in completion.overrides("model=mlp,lo", LAST)
    assert "+model=mlp" in completion.overrides("+model=m", LAST)


def test_keys_of_the_chosen_option(here) -> None:
    adamw = completion.overrides("optimizer.", LAST)
    assert "optimizer.momentum=" not in adamw and "optimizer.params=" not in adamw
    assert "optimizer.amsgrad=" in adamw  # only in the constructor's signature
    chosen = Namespace(overrides=["optimizer=sgd"], config_dir=[])
    assert {"optimizer.lr=", "optimizer.momentum="} <= set(completion.overrides("optimizer.", chosen))


def test_keys_of_the_task_that_a_data_set_chooses(here) -> None:
    chosen = Namespace(overrides=["data=text_file"], config_dir=[])
    assert "task.label_smoothing=" in completion.overrides("task.", chosen)
    assert "regularization.ema=" in completion.overrides("regularization.", LAST)
    assert not [key for key in completion.overrides("data.", LAST) if "deferred" in key]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("model.activation", {"relu", "gelu"}),
        ("data.drop_last", {"true", "false"}),
        ("hardware.accelerator", {"cpu", "gpu"}),
        ("optimizer.lr", set()),
        ("optimizer.nothing", set()),
    ],
)
def test_enumerated_values(here, key: str, values: set[str]) -> None:
    assert {f"{key}={value}" for value in values} <= set(completion.overrides(f"{key}=", LAST))
    assert values or not completion.overrides(f"{key}=", LAST)


def test_actions_and_names_of_sweeps(here: Path) -> None:
    assert completion.sweep_words("", LAST)[:3] == ["best", "show", "list"]
    chosen = Namespace(overrides=["best"], root="runs")
    assert completion.sweep_words("", chosen) == []
    (here / "runs" / "search").mkdir(parents=True)
    (here / "runs" / "search" / "sweep.yaml").write_text("")
    (here / "runs" / "single").mkdir()
    assert completion.sweep_words("", chosen) == ["latest", "search"]


def test_user_folders_are_searched(here: Path) -> None:
    (here / "conf" / "model").mkdir(parents=True)
    (here / "conf" / "model" / "mine.yaml").write_text("width: 3\n")
    (here / "more" / "model").mkdir(parents=True)
    (here / "more" / "model" / "theirs.yaml").write_text("broken: [\n")
    args = Namespace(overrides=["model=theirs"], config_dir=["more"])
    assert {"model=mine", "model=theirs"} <= set(completion.overrides("model=", args))
    assert completion.overrides("model.", args) == []
    assert "model" in completion.groups("", args)


def test_hydra_launchers(here) -> None:
    found = completion.overrides(
        "hydra/launcher=", LAST
    )  # those of further plug-ins too, where they are installed
    assert {"hydra/launcher=basic", "hydra/launcher=joblib"} <= set(found)


def test_experiment_files_come_first(here: Path) -> None:
    (here / "mine.yaml").write_text("seed: 1\n")
    (here / "notes.txt").write_text("")
    proposals = completion.experiments_and_overrides("", LAST)
    assert "mine.yaml" in proposals and "notes.txt" not in proposals and "model=" in proposals
    given = Namespace(overrides=["model=mlp"], config_dir=[])
    assert "mine.yaml" not in completion.experiments_and_overrides("", given)


def test_runs_are_proposed(here: Path) -> None:
    assert completion.runs("", Namespace(root="runs")) == []
    for name in ("a_run", "b_run"):
        (here / "runs" / name).mkdir(parents=True)
        (here / "runs" / name / "config.yaml").write_text("seed: 0\n")
    assert set(completion.runs("", Namespace(root="runs"))) == {"latest", "a_run", "b_run"}
    assert "runs/a_run/" in completion.runs("runs/", Namespace(root="runs"))


def ask_shell(line: str, folder: Path) -> tuple[list[str], str]:
    """What the shell is answered, and the modules that were imported for it."""
    asked = {
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(folder / "answer"),
        "IFS": "\n",
    }
    command = [sys.executable, "-X", "importtime", "-c", "from runner.cli import main; main()"]
    done = subprocess.run(command, env=os.environ | asked, cwd=folder, capture_output=True, text=True)
    return (folder / "answer").read_text().replace("\x0b", "\n").split("\n"), done.stderr


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("runner tr", "train"),
        ("runner train model=resnet34_", "resnet34_small"),
        ("runner train -m model=mlp,log", "mlp,logistic"),
        ("runner config sh", "show"),
        ("runner list optim", "optimizer"),
    ],
)
def test_completion_does_not_import_torch(line: str, answer: str, tmp_path: Path) -> None:
    answers, imports = ask_shell(line, tmp_path)
    assert answer in [text.strip() for text in answers]
    for module in ("torch", "pytorch_lightning", "hydra", "omegaconf", "mlflow"):
        assert not [
            line for line in imports.splitlines() if line.endswith((f" {module}", f" {module}.version"))
        ]


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete "), ("zsh", "compdef"), ("fish", "complete --command")]
)
def test_script_for_each_shell(shell: str, mark: str, say) -> None:
    said = say("completion", shell)
    assert said.code == 0
    assert mark in said.out and "runner" in said.out
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=said.out, text=True, check=True)


def test_states_and_splits() -> None:
    assert {"finished", "failed", "lost"} <= set(completion.states(""))
    assert completion.splits("") == ["train", "val", "test"]
