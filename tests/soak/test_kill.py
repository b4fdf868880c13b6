"""Kill soak, in separate processes: a process that forks must not have run other tests before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


SERVER = """
import json, os, sys
from soak.__main__ import main
for line in sys.stdin:
    arguments, output = json.loads(line)
    if os.fork() == 0:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.exit(main(arguments))
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
"""Imports torch and the cases once, and forks a process for each soak."""


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def run_soak(server: subprocess.Popen, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """``run_soak(*arguments)``: the exit code and the output of ``scripts/soak``."""

    def run(*arguments: str) -> tuple[int, str]:
        output = tmp_path / "soak.txt"
        server.stdin.write(json.dumps([arguments, str(output)]) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return code, output.read_text()

    return run


@pytest.fixture
def soak(run_soak: Callable[..., tuple[int, str]]) -> Callable[..., list[list[str]]]:
    """``soak(*arguments)``: the rows of its table, split at two blanks."""

    def rows(*arguments: str) -> list[list[str]]:
        code, output = run_soak(*arguments)
        assert code == 0, output
        return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in output.splitlines()]

    return rows


def kills_and_harm(row: list[str]) -> tuple[int, list[str]]:
    return int(row[2]), row[3:8]


@pytest.mark.timeout(900)
def test_killed_trainings_match_uninterrupted_ones(soak) -> None:
    *_, total = soak("--what", "tiny", "--only", "every 4 steps, 2", "--kills", "4")
    assert kills_and_harm(total) == (4, ["0"] * 5)


@pytest.mark.timeout(900)
def test_worker_survives_kills(soak) -> None:
    *_, total = soak("--what", "worker", "--only", "classification, 2", "--kills", "3")
    assert kills_and_harm(total) == (3, ["0"] * 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["tiny", "worker"])
def test_one_hundred_kills(soak, what: str) -> None:
    *_, total = soak("--what", what, "--kills", "100")
    assert kills_and_harm(total) == (100, ["0"] * 5)


@pytest.mark.timeout(900)
def test_tally_is_continued(soak, tmp_path: Path) -> None:
    words = (
        "--what",
        "tiny",
        "--only",
        "every step",
        "--kills",
        "1",
        "--tally",
        str(tmp_path / "tally.jsonl"),
    )
    soak(*words)
    *_, total = soak(*words)
    assert kills_and_harm(total) == (2, ["0"] * 5)
    seeds = [json.loads(line)["seed"] for line in (tmp_path / "tally.jsonl").read_text().splitlines()]
    assert seeds == [0, 1]


def test_unknown_case_is_an_error(run_soak) -> None:
    code, output = run_soak("--only", "nothing")
    assert code == 1 and "no case is called 'nothing'" in output
