"""A training that is killed and resumed equals an uninterrupted one, with every option of this group that is
on.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir

SETTINGS = {
    "ema": ["regularization.ema=0.9"],
    "swa": ["regularization.swa=0", "trainer.max_epochs=3"],
    "mixing, noise, dropout": [
        "regularization.mixup=0.4", "regularization.cutmix=1", "regularization.input_noise=0.1",
        "regularization.weight_noise=0.1", "regularization.spatial_dropout=0.2",
    ],
    "balanced draws, RandAugment": [
        "+sampling.balance=0.5",
        "regularization.augment={_target_:runner.data.images.augment.ImageAugment,min_scale:1.0,flip:false,policy:rand}",
    ],
    "fine-tuning": ["transfer=finetune", "trainer.max_epochs=3", "regularization.dropout=0.2"],
    "gradual unfreezing": ["transfer=gradual", "trainer.max_epochs=3", "transfer.batch_norm=train"],
    "frozen, cached features": ["transfer=frozen", "trainer.max_epochs=3", "regularization.dropout=0.2"],
}  # fmt: skip


@pytest.mark.parametrize("words", SETTINGS.values(), ids=SETTINGS)
def test_run_killed_twice_ends_identically(trained, tmp_path: Path, words, same, killing):
    words = [*words, "checkpoint.every_n_steps=3", "optimizer=adamw"]
    calm = trained(*words, name="calm")
    for step in (4, 7):  # in the first epoch, and in the second
        with pytest.raises(killing.Killed):
            trained(*words, name="killed", stop=killing.at(step))
    again = trained(name="killed")
    assert same(again.weights[-1], calm.weights[-1])
    states = [
        torch.load(last_checkpoint(RunDir(tmp_path / name)), weights_only=True) for name in ("calm", "killed")
    ]
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert same(states[0][key], states[1][key]), key
    assert same(states[0].get("weight_average"), states[1].get("weight_average"))
