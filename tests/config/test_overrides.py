"""Overrides whose values Hydra's grammar cannot read: one mistake, and the line to type."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from runner.cli import main
from runner.config.checks.check import check_config
from runner.config.compose import compose

NAMES = [
    "größe.csv",
    "my data (1).csv",
    "a=b.csv",
    "a,b.csv",
    "a#b.csv",
    "[x].csv",
    "it's.csv",
    'say "x".csv',
    "C:\\new (1)\\d.csv",
    "日本.csv",
    "{x}.csv",
    "a&b;c.csv",
    "50%~.csv",
]


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_unquoted_value_is_one_problem_with_the_line_to_type(name):
    composition = compose(["data=csv", "data.target=y", f"data.path={name}"])
    problems = check_config(composition)
    assert len(problems) == 1, problems
    if not composition.problems:  # Hydra reads it: the only mistake is that the file is missing
        assert composition.config.data.path == name
        return
    assert (problems[0].key, problems[0].kind) == ("data.path", "unreadable")
    command = re.split(r"[Tt]ype |has a comma: ", str(problems[0]))[-1]
    (typed,) = shlex.split(command)
    # the shell gives runner this word, and Hydra reads the name out of it
    assert OverridesParser.create().parse_override(typed).value() == name


@pytest.mark.parametrize("name", [name for name in NAMES if "\\" not in name])
def test_value_that_names_an_existing_file_is_taken_literally(name, capsys):
    x = np.random.default_rng(0).normal(size=60).round(3)
    pd.DataFrame({"x": x, "label": np.where(x > 0, "p", "q")}).to_csv(name, index=False)
    words = ["data=csv", "data.target=label", f"data.path={name}"]
    assert compose(words).config.data.path == name
    assert main(["config", "check", *words]) == 0, capsys.readouterr().err


def test_checkpoint_path_with_equals_signs(capsys):
    assert main(["config", "check", "model=mlp", "data=digits", "weights=ck/epoch=3-step=10.ckpt"]) == 2
    error = capsys.readouterr().err
    assert error.count("error:") == 1 and "mistakes" not in error
    assert "'weights=\"ck/epoch=3-step=10.ckpt\"'" in error
    Path("ck").mkdir()
    Path("ck/epoch=3-step=10.ckpt").write_bytes(b"x")
    assert compose(["weights=ck/epoch=3-step=10.ckpt"]).config.weights == "ck/epoch=3-step=10.ckpt"


def test_other_problems_are_still_reported():
    problems = check_config(
        compose(["data=csv", "data.path=größe.csv", "optimizer.lr=-1", "trainer.max_epochs=0"])
    )
    assert [(problem.key, problem.kind) for problem in problems] == [
        ("data.path", "unreadable"),
        ("trainer.max_epochs", "out_of_bounds"),
        ("optimizer", "rejected"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+optimizer.lr=1"], "Use optimizer.lr=VALUE or ++optimizer.lr=VALUE"),
        (["+seed=1"], "Use seed=VALUE or ++seed=VALUE"),
        (["hydra.run.dir=x"], "use run.root=FOLDER and run.name=NAME"),
        (["hydra.job.chdir=true"], "a run always works in the directory"),
        (["hydra.sweep.dir=x"], "use run.root=FOLDER"),
        (["++hydra.output_subdir=null"], "use run.root=FOLDER"),
        (["hydra.searchpath=[file://x]"], "use --config-dir FOLDER"),
        (["hydra/launcher=joblib"], "would have no effect without -m"),
        (["sweep.num_trials=3"], "Use `runner sweep`"),
        (["sweep=asha"], "Use `runner sweep`"),
        (["lr_finder.num_steps=20"], "Use optimizer.lr=auto"),
    ],
)
@pytest.mark.parametrize("verb", [["train"], ["train", "-m", "seed=1,2"]], ids=" ".join)
def test_keys_without_effect_are_rejected_with_the_key_to_use(verb, words, message, capsys):
    if "-m" in verb and words[0].startswith(("hydra/launcher", "lr_finder", "+seed")):
        return
    assert (
        main(
            [
                *verb,
                "model=mlp",
                "data=digits",
                "trainer.max_epochs=1",
                "trainer.limit_train_batches=1",
                *words,
            ]
        )
        == 2
    )
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_config_check_and_sweep_reject_them_too(capsys):
    assert main(["config", "check", "hydra.run.dir=x"]) == 2
    assert main(["find-lr", "hydra.run.dir=x"]) == 2
    words = ["sweep", "model=mlp", "data=digits", "optimizer.lr=0.1,0.2"]
    capsys.readouterr()
    assert main([*words, "run.name=x"]) == 2
    assert "Use sweep.name=x." in capsys.readouterr().err
    assert main([*words, "hydra.sweep.dir=x"]) == 2
    assert main([*words, "+optimizer.lr=1"]) == 2


def test_plus_adds_a_new_key_and_double_plus_sets_any():
    composition = compose(["model=mlp", "data=digits", "+optimizer.amsgrad=true", "++optimizer.lr=0.5"])
    assert not composition.problems
    assert OmegaConf.select(composition.config, "optimizer.lr") == 0.5


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999", "-1"])
@pytest.mark.parametrize("key", ["optimizer.lr", "optimizer.weight_decay"])
def test_numbers_that_are_not_finite_or_negative_are_rejected(key, value):
    assert check_config(compose(["model=mlp", "data=digits", f"{key}={value}"]))


@pytest.mark.parametrize("value", ["inf", "nan"])
@pytest.mark.parametrize("key", ["optimizer.lr", "optimizer.weight_decay", "regularization.weight_decay"])
def test_number_that_is_not_finite_is_one_problem(key, value):
    """Neither the optimizer nor the bounds of the key reject it a second time."""
    [problem] = check_config(compose(["model=mlp", "data=digits", f"{key}={value}"]))
    assert (problem.key, problem.kind) == (key, "out_of_bounds")
    assert str(problem) == f"{key}={value}: expected a finite number."


def test_list_with_an_infinite_number_is_rejected():
    problems = check_config(compose(["model=mlp", "data=digits", "optimizer.betas=[0.9,nan]"]))
    assert (problems[0].key, problems[0].kind) == ("optimizer.betas[1]", "out_of_bounds")
    assert str(problems[0]) == "optimizer.betas[1]=nan: expected a finite number."
