"""A rank that dies or hangs is named, with its last step and its stack, and the job ends within a minute,
whole.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from launch.test_elastic import processes_on, rank_one, start

from runner.run.directory import RunDir
from runner.run.status import read_status

TROUBLE = '''
import os
import time
import pytorch_lightning as pl

class Trouble(pl.Callback):
    """Of rank one at step 20, within the forward pass."""

    def __init__(self, kind: str):
        self.kind = kind

    def on_fit_start(self, trainer, pl_module):
        forward = pl_module.model.forward

        def troubled(inputs):
            if trainer.training and trainer.global_rank == 1 and trainer.global_step == 20:
                getattr(self, self.kind)()
            return forward(inputs)

        pl_module.model.forward = troubled

    def fall_asleep(self):
        while True:
            time.sleep(1000)

    def raise_error(self):
        raise ZeroDivisionError("by zero")

    def wait_for_a_signal(self):
        time.sleep(3)
'''

SAID = {
    "SIGKILL": ["rank 1", "SIGKILL", "step"],
    "SIGSTOP": ["rank 1", "hangs", "did not respond to SIGUSR2"],
    "fall_asleep": ["rank 1", "hangs", "step 20", "fall_asleep", "troubled"],
    "raise_error": ["rank 1 failed at step 20", "ZeroDivisionError: by zero", "raise_error"],
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", SAID)
def test_failing_rank_is_reported(tmp_path, kind: str) -> None:
    (tmp_path / "trouble.py").write_text(TROUBLE, encoding="utf-8")
    is_signal = kind.startswith("SIG")
    process = start(
        tmp_path,
        "run",
        "data=digits",
        "hardware=cpu_ddp",
        "launcher.max_restarts=0",
        "launcher.hang_after_s=10",
        "trainer.max_epochs=500",
        "+callbacks.trouble._target_=trouble.Trouble",
        f"+callbacks.trouble.kind={'wait_for_a_signal' if is_signal else kind}",
        "--allow-package",
        "trouble",
    )
    run = RunDir(tmp_path / "runs" / "run")
    failure, until = run.logs / "rank1.failure.json", time.monotonic() + 400
    while not failure.exists() and ((pulse := rank_one(run)) is None or pulse.step < 20):
        assert process.poll() is None and time.monotonic() < until, (tmp_path / "run.out").read_text()
        time.sleep(0.1)
    started = time.monotonic()
    if is_signal:
        os.kill(rank_one(run).pid, getattr(signal, kind))
    assert process.wait(timeout=120) == 1
    took = time.monotonic() - started
    said = (tmp_path / "run.out").read_text()
    print(f"{kind}: {took:.1f} s\n{said[-1500:]}")
    assert took < 60
    for words in SAID[kind]:
        assert words in said, said
    assert "rank 1" in read_status(run).reason and not processes_on(run)
    assert (run.logs / "rank0.log").exists() and (run.logs / "rank1.log").exists()
