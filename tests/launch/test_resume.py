"""The config of an earlier run when a command resumes it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from runner.launch.reproduce import root_of
from runner.launch.resume import prepare_resume, set_value
from runner.run.directory import RunDir
from runner.run.status import read_status, write_status


@pytest.mark.parametrize(
    ("before", "key", "wanted"),
    [
        ({"lr": {"a": 1, "b": 2}}, "lr.a", {"lr": {"a": 3, "b": 2}}),
        ({"lr": {"a": [1, 2]}}, "lr.a", {"lr": {"a": [3]}}),
        ({"stop": {"patience": 3}, "x": 1}, "stop.patience", {"stop": None, "x": 1}),
        ({"stop": None, "x": 1}, "stop.patience", {"stop": {"patience": 4}, "x": 1}),
        ({"lr": {"a": 1, "b": 2}}, "lr.a", {"lr": {"b": 2}}),
        ({"more": {"a": {"b": 1}}}, "more.a.b", {"more": {}}),
    ],
)
def test_changed_key_is_set_even_if_its_node_is_missing(before, key, wanted) -> None:
    config = OmegaConf.create(before)
    set_value(config, key, wanted)
    assert OmegaConf.to_container(config) == wanted


def test_extended_run_is_no_longer_finished(tmp_path) -> None:
    """Else results of before would pass for those of a job that never began."""
    run = RunDir(tmp_path)
    OmegaConf.save(OmegaConf.create({"trainer": {"max_epochs": 2}}), run.config_path)
    write_status(run, state="finished", step=8, epoch=2)
    assert not prepare_resume(run, None) and read_status(run).state == "finished"
    assert prepare_resume(run, SimpleNamespace(config=OmegaConf.create({"trainer": {"max_epochs": 4}})))
    assert read_status(run).state == "interrupted" and read_status(run).step == 8
    assert OmegaConf.load(run.config_path).trainer.max_epochs == 4


@pytest.mark.parametrize("inner", ["mine", "mine/folds/2", "sweep/trials/3", "sweep/trials/3/repeats/1"])
def test_reproduced_run_is_in_the_runs_folder(tmp_path, inner: str) -> None:
    assert root_of(RunDir(tmp_path / inner)) == tmp_path
