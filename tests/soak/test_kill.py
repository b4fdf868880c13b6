"""Kill soak, in processes of its own: what forks must not have run other tests before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def soak(*arguments: str) -> list[list[str]]:
    """Runs it; the rows of its table, split at two blanks."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS), "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run(
        [sys.executable, "-m", "soak", *arguments], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in ended.stdout.splitlines()]


def kills_and_harm(row: list[str]) -> tuple[int, list[str]]:
    return int(row[2]), row[3:8]


@pytest.mark.timeout(900)
def test_killed_trainings_match_uninterrupted_ones() -> None:
    *_, total = soak("--what", "tiny", "--only", "every 4 steps, 2", "--kills", "4")
    assert kills_and_harm(total) == (4, ["0"] * 5)


@pytest.mark.timeout(900)
def test_worker_survives_kills() -> None:
    *_, total = soak("--what", "worker", "--only", "classification, 2", "--kills", "3")
    assert kills_and_harm(total) == (3, ["0"] * 5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["tiny", "worker"])
def test_one_hundred_kills(what: str) -> None:
    *_, total = soak("--what", what, "--kills", "100")
    assert kills_and_harm(total) == (100, ["0"] * 5)


@pytest.mark.timeout(900)
def test_tally_is_continued(tmp_path: Path) -> None:
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


def test_unknown_case_is_an_error() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "soak", "--only", "nothing"],
        env=os.environ | {"PYTHONPATH": str(TESTS)}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 1 and "no case is called 'nothing'" in ended.stderr
