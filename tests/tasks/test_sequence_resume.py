"""Trainings of sequences that break off go on as if nothing had been, a carried state included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import runner.callbacks.stack as stack
from runner.config.compose import compose
from runner.config.plain import to_yaml
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir
from runner.run.files import write_text
from runner.run.journal import read_points
from runner.worker import execute

COMMON = [
    "model.hidden_size=8", "trainer.max_epochs=2", "trainer.log_every_n_steps=2", "checkpoint.every_n_steps=3",
    "regularization.dropout=0.2", "tracking=none", "plots=false", "report=false", "hardware=cpu",
    "hardware.num_threads=1",
]  # fmt: skip
KINDS = {
    "classification": ["data=brackets", "data.num_samples=60", "data.batch_size=8", "model.pooling=attention"],
    "labelling": ["data=bracket_depth", "data.num_samples=60", "data.batch_size=8", "model=gru"],
    "language": ["data=text_file", "data.path=poem.txt", "data.window=16", "data.batch_size=4", "model.num_layers=2"],
    "language, workers": ["data=text_file", "data.path=poem.txt", "data.window=16", "data.batch_size=4",
                          "data.num_workers=2", "+trainer.accumulate_grad_batches=2", "model=rnn"],
    "seq2seq": ["data=dates", "data.num_train=40", "data.num_val=6", "data.num_test=6", "data.batch_size=8",
                "model.embed_dim=8", "regularization.label_smoothing=0.1"],
}  # fmt: skip


class Killed(Exception):
    pass


class Killer(pl.Callback):
    """Ends the training at an update, without a chance to save."""

    def __init__(self, at: int):
        self.at = at

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.at:
            raise Killed


def train(folder: Path, kind: str, kills: tuple[int, ...], monkeypatch) -> dict[str, Any]:
    """A run that is ended at some updates and resumed each time; what came out."""
    run = RunDir(folder)
    for part in (run.checkpoints, run.plots, run.logs):
        part.mkdir(parents=True)
    write_text(run.config_path, to_yaml(compose([*COMMON, *KINDS[kind]]).config))
    make_callbacks = stack.make_callbacks
    for at in kills:
        monkeypatch.setattr(stack, "make_callbacks", lambda *args, at=at: [*make_callbacks(*args), Killer(at)])
        with pytest.raises(Killed):
            execute(run)
    monkeypatch.setattr(stack, "make_callbacks", make_callbacks)
    results = execute(run)
    state = torch.load(last_checkpoint(run), weights_only=True)
    return {
        "state": [state["state_dict"], state["optimizer_states"], state["lr_schedulers"], state.get("carried_state")],
        "points": [(point.step, point.epoch, point.metrics) for point in read_points(run.metrics_path)],
        "results": {key: value for key, value in results.items() if key != "seconds"},
    }


def same(one: Any, other: Any) -> bool:
    """To the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_equals_uninterrupted(kind, tmp_path, monkeypatch):
    """Killed in the first and in the second epoch, between checkpoints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUNNER_DATA", str(tmp_path / "cache"))
    Path("poem.txt").write_text("".join(f"Line {i} of a ballad\n\n" for i in range(30)))
    calm = train(tmp_path / "calm", kind, (), monkeypatch)
    steps = calm["points"][-1][0]
    killed = train(tmp_path / "killed", kind, (4, steps - 1), monkeypatch)
    assert steps >= 8
    for key in calm:
        assert same(calm[key], killed[key]), key
