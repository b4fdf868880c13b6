"""Trials that fail in every way, in real processes; the sweep continues."""

from __future__ import annotations

import pytest

from runner.cli import main
from runner.run.status import read_status
from runner.sweep.study import load_study

BAD = """
import time
import torch
import pytorch_lightning as pl


class Bad(pl.Callback):
    def __init__(self, how: str = "fine"):
        self.how = how

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.how == "raise":
            raise RuntimeError("this trial is broken")
        if self.how == "memory":
            self.much = [torch.empty(2**28) for _ in range(8)]
        if self.how == "hang":
            time.sleep(1000)
"""
OPTION = """
bad:
  _target_: bad.Bad
  how: fine
"""


def test_errors_end_one_trial_only(bench, monkeypatch) -> None:
    monkeypatch.chdir(bench.folder)
    monkeypatch.syspath_prepend(bench.folder)
    (bench.folder / "bad.py").write_text(BAD)
    (bench.folder / "conf" / "callbacks").mkdir(parents=True)
    (bench.folder / "conf" / "callbacks" / "bad.yaml").write_text(OPTION)
    words = ["callbacks=bad", "callbacks.bad.how=fine,raise,memory,hang", "sweep=grid", "sweep.num_workers=2"]
    words += ["sweep.memory_gib=3", "sweep.silence_s=8", "sweep.max_retries=0"]
    assert main(["sweep", *bench.tiny, *words]) == 0
    trials = load_study(bench.sweep).get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "FAIL", "FAIL", "FAIL"]
    reasons = [trial.user_attrs.get("reason", "") for trial in trials]
    assert "this trial is broken" in reasons[1]
    assert "memory" in reasons[2]
    assert "no batch in 8 s" in reasons[3]
    assert [read_status(bench.sweep.trial(n)).state for n in range(4)] == ["finished"] + ["failed"] * 3


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("launcher", ["local", "elastic"])
def test_several_ranks_are_pruned_together(bench, monkeypatch, launcher: str) -> None:
    monkeypatch.chdir(bench.folder)
    points = "sweep.points=[{optimizer.lr: 0.3},{optimizer.lr: 0.2},{optimizer.lr: 1e-9}]"
    words = ["hardware=cpu_ddp", "sweep=asha", "optimizer.lr=tag(log,interval(1e-9,1))", points]
    words += ["sweep.num_trials=3", "sweep.try_default=false", f"launcher={launcher}", "trainer.max_epochs=4"]
    words += ["trainer.limit_train_batches=1.0", "trainer.limit_val_batches=1.0"]
    assert main(["sweep", *bench.tiny, *words]) == 0
    trials = load_study(bench.sweep).get_trials()
    assert [trials[number].state.name for number in (0, 2)] == ["COMPLETE", "PRUNED"]
    assert list(trials[2].intermediate_values) == [1]
    run = bench.sweep.trial(2)
    assert read_status(run).state == "pruned"
    assert sorted(path.name for path in run.logs.glob("rank*.log")) == ["rank0.log", "rank1.log"]
    assert not [*run.logs.glob("rank*.failure.json")]
    assert len(trials[2].user_attrs["attempts"]) == 1
