"""A landscape whose process is killed, without a chance to say a word."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from runner.landscape.explore import Exploration
from runner.landscape.request import LandscapeRequest
from runner.run.directory import RunDir


@pytest.mark.slow
def test_twice_killed_exploration_is_bit_identical(digits: Path, tmp_path: Path):
    shutil.copytree(digits, tmp_path / "killed", ignore=shutil.ignore_patterns("landscape"))
    run = RunDir(tmp_path / "killed")
    request = LandscapeRequest(resolution=61, samples=60)
    known = 0
    for _ in range(2):
        command = [
            sys.executable,
            "-m",
            "runner",
            "landscape",
            str(run.path),
            "--resolution",
            "61",
            "--samples",
            "60",
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and sum(map(num_lines, run.landscape.glob("*.points.jsonl"))) <= known:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"
        trip = Exploration(run, request)
        assert known < len(trip.known) < len(trip.points)
        known = len(trip.known)
    resumed = Exploration(run, request).explore()
    whole = Exploration(RunDir(digits), request).explore()
    assert np.array_equal(resumed.losses, whole.losses) and resumed.centre == whole.centre


def num_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")
