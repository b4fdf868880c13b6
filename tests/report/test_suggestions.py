from __future__ import annotations

from pathlib import Path

import pytest

from runner.report.suggestions import predict_command, run_argument
from runner.run.directory import RunDir


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ({"task": "classification"}, "runner predict r INPUT"),
        ({"task": "language", "name": "input"}, 'runner predict r --prompt "The "'),
        ({"task": "language", "name": "irish_abc"}, 'runner predict r --prompt "X:1"'),
        ({"task": "word_vectors"}, "runner predict r WORD"),
        ({}, "runner predict r INPUT"),
    ],
)
def test_command_to_use_a_run(facts: dict, command: str) -> None:
    assert predict_command("r", facts)[0] == command


def test_runs_in_the_usual_folder_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_argument(RunDir(tmp_path / "runs" / "a")) == "a"
    assert run_argument(RunDir(tmp_path / "others" / "a")) == "others/a"
    assert run_argument(RunDir(Path("/elsewhere/a"))) == "/elsewhere/a"
