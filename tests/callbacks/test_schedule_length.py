from pathlib import Path

import pytest
import torch
from soak.tiny import Setting, make

from runner.callbacks.schedule_length import OptimizerSettings
from runner.run.checkpoints import last_checkpoint
from runner.run.directory import RunDir


def resumed(run: RunDir, settings: OptimizerSettings, epochs: int = 2, plateau: bool = False):
    trainer, task, data = make(run, Setting(epochs=epochs, plateau=plateau), settings)
    newest = last_checkpoint(run)
    trainer.fit(task, datamodule=data, ckpt_path=str(newest) if newest else None, weights_only=True)
    return trainer


@pytest.mark.parametrize("plateau", [False, True])
def test_changed_learning_rate_overrides_checkpoint_and_schedule(tmp_path: Path, plateau: bool) -> None:
    rates = {}
    for name, lr, scale in (("same", 0.02, 1.0), ("half", 0.01, 1.0), ("rolled back", 0.02, 0.5)):
        run = RunDir(tmp_path / name)
        resumed(run, OptimizerSettings({"lr": 0.02}), epochs=1, plateau=plateau)
        trainer = resumed(run, OptimizerSettings({"lr": lr}, scale), epochs=3, plateau=plateau)
        again = torch.load(last_checkpoint(run), weights_only=True)["optimizer_states"][0]["param_groups"][0][
            "lr"
        ]
        rates[name] = trainer.optimizers[0].param_groups[0]["lr"]
        assert again == rates[name]
    assert rates["half"] == rates["rolled back"]
    if not plateau:  # that one lowers the rate by what it measures
        assert rates["half"] == pytest.approx(rates["same"] / 2)


def test_other_settings_replace_the_old_value(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    before = {"_target_": "x", "lr": 0.02, "weight_decay": 0, "betas": [0.9, 0.999]}
    resumed(run, OptimizerSettings(before), epochs=1)
    group = resumed(run, OptimizerSettings(before | {"betas": [0.8, 0.99]})).optimizers[0].param_groups[0]
    assert group["betas"] == (0.8, 0.99) and group["weight_decay"] == 0


def test_unchanged_settings_have_no_effect() -> None:
    settings = OptimizerSettings({"lr": 0.1, "_target_": "x", "name": "y"})
    assert settings.state_dict() == {"settings": {"lr": 0.1}, "lr_scale": 1.0}
