"""The display of a running sweep."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import optuna
import pytest
from rich.console import Console

from runner.config.schema import Sweep
from runner.run.directory import RunDir
from runner.sweep.running_trial import RunningTrial
from runner.sweep.space import Space, parse_parameter
from runner.sweep.trial import Outcome
from runner.sweep.trial_queue import TrialQueue
from runner.sweep.view import SweepView, short_names, short_value

KEYS = {"model": "mlp,logistic", "optimizer.lr": "interval(0.001,0.1)"}
POINT = ["model=logistic", "optimizer.lr=0.005114173022176358"]


@pytest.fixture
def queue():
    study = optuna.create_study(direction="maximize")
    for value in (0.5, 0.9, 0.7):
        study.add_trial(optuna.trial.create_trial(value=value))
    study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED))
    space = Space(tuple(parse_parameter(key, text, []) for key, text in KEYS.items()))
    return TrialQueue(study, space, Sweep(num_trials=8))


def running(tmp_path, **changes) -> RunningTrial:
    attempt = {"start": 100.0, "end": 112.0}
    return RunningTrial(SimpleNamespace(number=5), RunDir(tmp_path), POINT, None, [attempt], **changes)


def view_on(queue, terminal: bool, width: int = 80) -> tuple[SweepView, io.StringIO]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, color_system=None, legacy_windows=False)
    return SweepView(queue, ["val/accuracy"], console, max_epochs=6), out


def test_plain_output_has_one_line_per_trial(queue, tmp_path):
    view, out = view_on(queue, terminal=False)
    view.ended(running(tmp_path), Outcome("complete", (0.875,)))
    assert out.getvalue() == (
        "4/8  trial 5  val/accuracy 0.8750  model=logistic optimizer.lr=0.005114173022176358  12 s  "
        "best 0.9000 (trial 1)\n"
    )


def test_failed_trial_reports_the_reason(queue, tmp_path):
    view, out = view_on(queue, terminal=False)
    view.ended(running(tmp_path), Outcome("failed", reason="the loss is\nnot finite"))
    assert "failed (the loss is not finite)" in out.getvalue()


@pytest.mark.parametrize("width", [80, 140])
def test_table_shows_running_trials_within_the_width(queue, tmp_path, width):
    (tmp_path / "metrics.jsonl").write_text('{"step": 40, "epoch": 1}\n{"step": 50, "epo')
    view, out = view_on(queue, terminal=True, width=width)
    one = running(tmp_path, started_at=time.monotonic() - 3, epoch=2, value=0.8123)
    view.console.print(view._render([one]))
    view.close()
    lines = out.getvalue().splitlines()
    row = next(line for line in lines if "logistic" in line)
    assert row.split()[:5] == ["5", "2/6", "40", "0.8123", "15"]
    assert "model=logistic lr=0.005114" in row
    text = " ".join(" ".join(lines).split())
    assert "4 of 8 trials" in text and "3 complete · 1 pruned · best 0.9000 (trial 1)" in text
    assert max(map(len, lines)) <= width


def test_time_left_is_reported_once_it_can_be_estimated(queue, tmp_path):
    view, _ = view_on(queue, terminal=False)
    view._started_at -= 10
    assert view._time_left(4) == "" and view._time_left(5) == ""
    assert view._time_left(6) == "10 s left"
    assert view._time_left(8) == ""


def test_short_names_are_unique():
    keys = ["model", "optimizer.lr", "a.dropout", "b.dropout", "model.head.dropout"]
    assert short_names(keys) == {
        "model": "model",
        "optimizer.lr": "lr",
        "a.dropout": "a.dropout",
        "b.dropout": "b.dropout",
        "model.head.dropout": "head.dropout",
    }


def test_short_values():
    assert [short_value(text) for text in ("0.005114173022176358", "1e-05", "[128,64]", "mlp", "0")] == [
        "0.005114", "1e-05", "[128,64]", "mlp", "0",
    ]  # fmt: skip
