"""A detector's training that breaks off goes on as if nothing had been."""

from __future__ import annotations

import hashlib

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
    "data=shapes_detection", "data.num_train=10", "data.num_val=3", "data.num_test=0", "data.image_size=64",
    "data.batch_size=2", "trainer.max_epochs=2", "trainer.log_every_n_steps=2", "checkpoint.every_n_steps=3",
    "tracking=none", "plots=false", "report=false", "hardware=cpu", "hardware.num_threads=1",
]  # fmt: skip
MODELS = {
    "faster_rcnn": ["model=faster_rcnn", "model.backbone=resnet18", "model.channels=32", "model.hidden_size=64",
                    "model.anchor_sizes=[8,16,32,64,96]", "model.num_proposals=50", "model.rois_per_image=32"],
    "ssdlite": ["model=ssdlite", "model.size=64", "data.num_workers=2"],
}  # fmt: skip


class Killed(Exception):
    pass


class Killer(pl.Callback):
    """Ends the training at an update, without a chance to save."""

    def __init__(self, at: int | None):
        self.at = at

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == self.at:
            raise Killed


def train(folder, kind: str, kills: tuple[int, ...], monkeypatch) -> dict:
    run = RunDir(folder)
    for part in (run.checkpoints, run.plots, run.logs):
        part.mkdir(parents=True)
    write_text(run.config_path, to_yaml(compose([*COMMON, *MODELS[kind]]).config))
    make_callbacks = stack.make_callbacks
    for at in (*kills, None):
        monkeypatch.setattr(stack, "make_callbacks", lambda *args, at=at: [*make_callbacks(*args), Killer(at)])
        if at is None:
            results = execute(run)
        else:
            with pytest.raises(Killed):
                execute(run)
    monkeypatch.setattr(stack, "make_callbacks", make_callbacks)
    state = torch.load(last_checkpoint(run), weights_only=True)
    return {
        "weights": digest(state["state_dict"]),
        "optimizer": digest(state["optimizer_states"]),
        "points": [(point.step, point.epoch, point.metrics) for point in read_points(run.metrics_path)],
        "results": {key: value for key, value in results.items() if key != "seconds"},
    }


def digest(value) -> str:
    sha = hashlib.sha256()

    def add(item) -> None:
        if isinstance(item, torch.Tensor):
            sha.update(item.contiguous().numpy().tobytes())
        elif isinstance(item, dict):
            for key in item:
                add(item[key])
        elif isinstance(item, list | tuple):
            for one in item:
                add(one)
        else:
            sha.update(repr(item).encode())

    add(value)
    return sha.hexdigest()


@pytest.mark.parametrize("kind", MODELS)
def test_resumed_equals_uninterrupted(kind, tmp_path, monkeypatch):
    """Killed in the first and in the second epoch, between checkpoints. Faster R-CNN draws in every step which
    regions it learns from; augmentation draws for every sample."""
    calm = train(tmp_path / "calm", kind, (), monkeypatch)
    killed = train(tmp_path / "killed", kind, (4, 8), monkeypatch)
    assert calm["points"][-1][0] == 10
    names = {key for _, _, metrics in calm["points"] for key in metrics}
    assert {"train/loss", "val/map", "val/map_50"} <= names and any(name.startswith("train/loss_") for name in names)
    for key in calm:
        assert killed[key] == calm[key], key
