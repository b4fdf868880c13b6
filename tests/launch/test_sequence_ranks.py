"""Two ranks take the steps one would take, also where samples differ in length and a state is carried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.run.directory import RunDir
from runner.run.journal import load_metrics
from tests.overrides import QUIET

QUICK = [
    "model.hidden_size=8",
    "regularization=none",
    *QUIET,
    "trainer.log_every_n_steps=1",
    "trainer.max_epochs=2",
]
KINDS = {
    "labelling": ["data=bracket_depth", "data.num_samples=60", "data.batch_size=10"],
    "language": ["data=text_file", "data.path=poem.txt", "data.window=16", "data.batch_size=6"],
    "forecasting": ["data=waves", "data.batch_size=50", "model=lstm", "+trainer.limit_train_batches=6"],
    "seq2seq": ["data=dates", "data.num_train=30", "data.num_val=7", "data.num_test=0", "data.batch_size=8",
                "task.max_steps=12"],
}  # fmt: skip


def finish(folder: Path, name: str, *words: str) -> dict[str, list]:
    command = [sys.executable, "-m", "runner", "train", *QUICK, f"run.name={name}", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RUNNER_DATA": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_metrics(RunDir(folder / "runs" / name).metrics_path)


@pytest.mark.slow
@pytest.mark.parametrize("passes", [[], ["hardware.micro_batch=2"]])
@pytest.mark.parametrize("kind", KINDS)
def test_two_ranks_match_one(tmp_path, kind: str, passes: list[str]) -> None:
    """The last batch falls unevenly to the ranks, and so do tokens. Only the order of additions differs."""
    (tmp_path / "poem.txt").write_text("".join(f"Line {i} of a ballad\n\n" for i in range(80)))
    one = finish(tmp_path, "one", *KINDS[kind], "hardware=cpu")
    two = finish(tmp_path, "two", *KINDS[kind], "hardware=cpu_ddp", *passes)
    assert one.keys() == two.keys()
    for key in one:
        assert [point[:2] for point in one[key]] == [point[:2] for point in two[key]], key
        assert [point[2] for point in one[key]] == pytest.approx(
            [point[2] for point in two[key]], rel=1e-4, abs=1e-5
        ), key
