"""``scripts/gpu_check`` runs to its end on a machine without a GPU, and says when something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

from gpu_check.__main__ import main  # noqa: E402
from gpu_check.bench import Check, Failed, alone, carry_out  # noqa: E402
from gpu_check.checks import all_checks  # noqa: E402

without_gpu = pytest.mark.skipif(torch.cuda.device_count() > 0, reason="is about machines without a GPU")


@without_gpu
def test_gpu_rows_are_skipped_without_cuda(capsys) -> None:
    assert main(["--only", "train regression"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("cpu  train regression") and "pass" in lines[1] and "loss" in lines[1]
    assert lines[2].startswith("gpu  train regression") and lines[2].endswith("no CUDA device here")
    assert lines[3].startswith("1 passed, 0 failed, 1 skipped")


@pytest.mark.slow
@without_gpu
def test_full_gpu_check_completes(tmp_path) -> None:
    begin = time.monotonic()
    command = [str(ROOT / "scripts" / "gpu_check"), "--json", str(tmp_path / "rows.json")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert time.monotonic() - begin < 480
    assert done.stdout.count("no CUDA device here") == len(all_checks(0)) - 7, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout


def test_failed_hung_and_crashed_checks_are_reported(tmp_path) -> None:
    def fails(folder: Path) -> str:
        raise Failed("too large")

    def hangs(folder: Path) -> str:
        time.sleep(100)
        return ""

    def dies(folder: Path) -> str:
        os._exit(7)

    found = [carry_out(Check("cpu", call.__name__, call, timeout_s=3), tmp_path / call.__name__, 0, 60)
             for call in (fails, hangs, dies)]  # fmt: skip
    assert [one.state for one in found] == ["FAILED"] * 3
    assert (
        "Failed: too large" in found[0].figure
        and "no answer in 3 s" in found[1].figure
        and "(7)" in found[2].figure
    )
    assert (
        carry_out(Check("gpu", "x", fails, needs=2), tmp_path / "x", 1, 60).figure
        == "1 CUDA device here, needs 2"
    )


def test_process_that_ends_before_being_killed_fails_the_check() -> None:
    alone(time.sleep, 100, kill_when=lambda: True)
    with pytest.raises(Failed):
        alone(time.sleep, 0, kill_when=lambda: False)
