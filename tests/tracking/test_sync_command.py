"""``runner sync``."""

from __future__ import annotations

import argparse

import pytest

from runner.cli import sync as command
from runner.errors import RunNotFoundError, UserError
from runner.tracking.store import default_uri, open_store


def call(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args(words))


def test_named_runs_are_sent(make_run, root, capsys):
    make_run("one")
    make_run("two", state="failed")
    assert call("one", "--root", str(root)) == 0
    line = capsys.readouterr().out
    assert line.startswith("one: 20 points, ") and "FINISHED" in line and default_uri(root) in line
    assert call("--all", "--root", str(root)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in sorted(lines)] == ["one: 0 points", "two: 20 points"]
    client = open_store(default_uri(root))
    assert {run.info.status for run in client.search_runs(["1"])} == {"FINISHED", "FAILED"}


def test_run_is_found_by_its_id_in_mlflow(make_run, root, capsys):
    make_run("one")
    call("latest", "--root", str(root))
    (found,) = open_store(default_uri(root)).search_runs(["1"])
    assert call(found.info.run_id, "--root", str(root)) == 0
    assert "one: 0 points" in capsys.readouterr().out


def test_unreachable_store_is_reported_as_a_failure(make_run, root, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    make_run("one")
    assert call("one", "--root", str(root), "--uri", "http://127.0.0.1:9") == 1
    assert "one: stopped after 0 points" in capsys.readouterr().out


def test_invalid_uri_is_reported(make_run, root, capsys):
    make_run("one", uri="file:./mlruns")
    assert call("one", "--root", str(root)) == 1
    assert "tracking.uri='file:./mlruns'" in capsys.readouterr().out


def test_invalid_input(make_run, root):
    make_run("one")
    with pytest.raises(UserError, match="name one or more runs"):
        call("--root", str(root))
    with pytest.raises(RunNotFoundError, match="one"):
        call("onne", "--root", str(root))
