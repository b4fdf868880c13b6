"""Interrupted and resumed trainings, for the tests of every task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import runner.training.trainer as stack
from runner.config.compose import compose
from runner.config.plain import to_yaml
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.journal import read_points
from runner.training.worker import execute
from tests.overrides import QUIET

COMMON = [
    *QUIET,
    "hardware=cpu",
    "hardware.num_threads=1",
    "trainer.log_every_n_steps=2",
    "checkpoint.every_n_steps=3",
]


@pytest.fixture
def train_interrupted(tmp_path: Path, monkeypatch, killing) -> Callable[..., dict[str, Any]]:
    """``train_interrupted(overrides, kills)``: a run that is ended at some updates and resumed each time.

    Checkpoints are written after every third update. Returns the state (weights, optimizer, schedules,
    carried recurrent state), every metric point, and the results.
    """

    def train(overrides: list[str], kills: tuple[int, ...] = ()) -> dict[str, Any]:
        run = RunDir(tmp_path / f"run{len(list(tmp_path.glob('run*')))}")
        for part in (run.checkpoints, run.plots, run.logs):
            part.mkdir(parents=True)
        write_text(run.config_path, to_yaml(compose([*COMMON, *overrides]).config))
        make_callbacks = stack.make_callbacks
        for at in kills:
            monkeypatch.setattr(
                stack, "make_callbacks", lambda *args, at=at: [*make_callbacks(*args), killing.at(at)]
            )
            with pytest.raises(killing.Killed):
                execute(run)
        monkeypatch.setattr(stack, "make_callbacks", make_callbacks)
        results = execute(run)
        state = torch.load(last_checkpoint(run), weights_only=True)
        return {
            "state": [
                state["state_dict"],
                state["optimizer_states"],
                state["lr_schedulers"],
                state.get("carried_state"),
            ],
            "points": [(point.step, point.epoch, point.metrics) for point in read_points(run.metrics_path)],
            "results": {key: value for key, value in results.items() if key != "seconds"},
        }

    return train


@pytest.fixture
def assert_resumed_equals_uninterrupted(train_interrupted, same) -> Callable[..., dict[str, Any]]:
    """``assert_…(overrides, kills)``; returns what the uninterrupted run gave.

    ``kills`` may be a function of the total number of updates.
    """

    def check(
        overrides: list[str], kills: Callable[[int], tuple[int, ...]] | tuple[int, ...]
    ) -> dict[str, Any]:
        calm = train_interrupted(overrides)
        at = kills(calm["points"][-1][0]) if callable(kills) else kills
        killed = train_interrupted(overrides, at)
        for key in calm:
            assert same(calm[key], killed[key]), key
        return calm

    return check
