from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.run.directory import RunDir
from runner.run.files import write_json
from runner.run.status import write_status


@pytest.fixture
def three_runs(here: Path) -> list[RunDir]:
    runs = []
    for name, state in (("one", "finished"), ("two", "failed"), ("three", "finished")):
        run = RunDir.create("runs", name)
        run.config_path.write_text(f"seed: {len(runs)}\ntrainer:\n  max_epochs: 3\n")
        write_json(run.provenance_path, {"created_at": "2026-11-21T10:00:00"})
        write_status(run, state="running")
        write_status(run, state=state, reason="the loss is not finite" if state == "failed" else None)
        if state == "finished":
            best = {"monitor": "val/accuracy", "value": 0.9 + len(runs) / 100, "step": 5, "epoch": 1}
            write_json(run.results_path, {"best": best, "val": {"val/accuracy": best["value"]}, "epoch": 3})
        runs.append(run)
    return runs


def test_no_runs_yet(say) -> None:
    said = say("runs")
    assert said.code == 0
    assert "There are no runs in runs. `runner train` starts one." in said.out


def test_table_of_runs(say, three_runs) -> None:
    said = say("runs")
    assert said.code == 0
    assert all(run.name in said.out for run in three_runs)
    assert "the loss is not finite" in said.out


def test_filtered_runs(say, three_runs) -> None:
    assert "three" not in say("runs", "--state", "failed").out
    last = say("runs", "--last", "1")
    assert "The newest 1 of 3" in last.out
    assert "There are no lost runs" in say("runs", "--state", "lost").out
    said = say("runs", "--state", "finnished")
    assert said.code == 2 and "Did you mean 'finished'?" in said.err


def test_runs_as_json(say, three_runs) -> None:
    listed = json.loads(say("runs", "--json", "--last", "0").out)
    assert {run["name"]: run["state"] for run in listed} == {
        "one": "finished",
        "two": "failed",
        "three": "finished",
    }
    assert listed[0]["results"]["best"]["value"] == pytest.approx(0.9)


def test_compare(say, three_runs) -> None:
    said = say("compare", "one", "runs/three")
    assert said.code == 0
    assert "one" in said.out and "three" in said.out and "seed" in said.out
    assert "max_epochs" not in said.out


def test_compare_requires_two_runs(say, three_runs) -> None:
    said = say("compare", "one", "one")
    assert said.code == 2
    assert "two runs or more" in said.err


def test_unknown_run_names_the_nearest(say, three_runs) -> None:
    said = say("compare", "one", "thre_")
    assert said.code == 2
    assert "Did you mean three?" in said.err
