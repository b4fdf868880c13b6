from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runner.config.checks.check import check_config
from runner.config.checks.spelling import misspellings, reject_misspelled
from runner.config.compose import compose
from runner.errors import ConfigError

MISSPELLED = [
    ["modl=mlp"],
    ["model=resnt34"],
    ["optimizer.lrr=0.1"],
    ["trainer.max_epoch=3", "seed=2"],
    ["regularization.dropuot=0.1"],
    ["data=text_file", "data.pth=x"],
    ["model=mlp", "model.hidden_size=[3]", "trainer.max_epochs=3"],
    ["run.nme=x", "optimizer=sgd", "optimizer.momentun=0.9"],
    ["task.monitr=val/loss"],
]


@pytest.mark.parametrize("overrides", MISSPELLED, ids=" ".join)
def test_misspelled_names_are_rejected_like_in_the_complete_check(overrides: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        reject_misspelled(compose(overrides))
    expected = check_config(compose(overrides))
    assert list(caught.value.problems) == expected[: len(caught.value.problems)]


@pytest.mark.parametrize(
    "overrides",
    [
        ["model=mlp", "optimizer.lr=0.1"],
        ["modl=mlp", "optimizer.lr=abc"],
        ["modl=mlp", "optimizer.lr=-1"],
        ["modl=mlp", "model=mlp", "model.activation=rlu"],
        ["modl=mlp", "seed=abc"],
        ["modl=mlp", "regularization.dropout=2"],
    ],
    ids=" ".join,
)
def test_configs_that_may_contain_other_mistakes_are_left_to_the_complete_check(overrides: list[str]) -> None:
    reject_misspelled(compose(overrides))


def test_suggestions_omit_arguments_that_runner_supplies() -> None:
    (problem,) = misspellings(compose(["optimizer.parms=3"]))
    assert "'params'" not in (problem.suggestion or "")


def test_a_typo_is_found_without_importing_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from runner.cli import main; code = main(['train', 'modl=mlp', 'optimizer.lrr=1']); "
        "print(code, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.split() == ["2", "False"]
    assert "Did you mean 'model'?" in result.stderr and "Did you mean 'lr'?" in result.stderr
