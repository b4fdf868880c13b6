"""The recorded state of a run: read once, and again after a reload."""

import pytest

from runner.errors import DamagedFileError
from runner.run.checkpoints import Checkpoint, write_index
from runner.run.directory import RunDir
from runner.run.files import write_json, write_text
from runner.run.state import RunState
from runner.run.status import write_status


@pytest.fixture
def run(tmp_path) -> RunDir:
    return RunDir.create(tmp_path, "r")


def test_missing_files_read_as_empty(run):
    state = RunState(run)
    assert (state.status.state, state.is_finished) == ("created", False)
    assert (state.config, state.config_text) == ({}, "")
    assert (state.provenance, state.facts, state.results, state.best, state.fold_plan) == ({},) * 5
    assert state.checkpoints == []


def test_files_are_read_once_until_a_reload(run):
    write_status(run, state="created")
    write_json(run.results_path, {"best": {"step": 3}})
    state = RunState(run)
    assert (state.status.step, state.best) == (0, {"step": 3})
    write_status(run, step=7)
    write_json(run.results_path, {"best": None})
    assert (state.status.step, state.best) == (0, {"step": 3})
    assert state.reload() is state
    assert (state.status.step, state.best) == (7, {})


def test_config_and_checkpoints_are_those_of_the_directory(run):
    write_text(run.config_path, "model: {_target_: MLP, size: 1.0e-05}\nlr: ${model.size}\n")
    write_index(run.checkpoints, [Checkpoint("step-1.ckpt", 1, 0, "epoch", "abc")])
    state = RunState(run)
    assert state.config == {"model": {"_target_": "MLP", "size": 1e-5}, "lr": "${model.size}"}
    assert [entry.file for entry in state.checkpoints] == ["step-1.ckpt"]


def test_malformed_files_raise_unless_the_state_is_tolerant(run):
    run.facts_path.write_text("{", encoding="utf-8")
    with pytest.raises(DamagedFileError, match="facts.json is damaged"):
        RunState(run).facts  # noqa: B018 - reading the property raises
    assert RunState(run, tolerant=True).facts == {}
    run.config_path.write_text("a: [", encoding="utf-8")
    assert RunState(run, tolerant=True).config == {}
