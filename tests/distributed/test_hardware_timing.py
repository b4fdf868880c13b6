"""Precision and memory format by the clock."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from distributed.ranks import points, written
from omegaconf import OmegaConf
from torch import nn

import runner.distributed.hardware_timing as measuring
import runner.training.hardware_benchmark as measuring_hardware
from runner.data.text.stream import StreamSplit
from runner.distributed.hardware_timing import Candidate, decide, measure
from runner.models.recurrent.network import LSTM
from runner.run.files import read_json
from runner.tasks.classification import ClassificationTask
from runner.tasks.language import LanguageTask
from runner.training.worker import execute

SLOW, FAST, OTHER = Candidate("32", False), Candidate("bf16", True), Candidate("32", True)


def test_32_bit_wins_unless_another_precision_is_clearly_faster() -> None:
    assert decide({FAST: 0.95, SLOW: 1.0}, FAST, 8).chosen == SLOW, "32-bit wins ties"
    assert decide({FAST: 0.8, SLOW: 1.0, OTHER: 0.85}, SLOW, 8).chosen == OTHER
    assert decide({FAST: 0.7, SLOW: 1.0, OTHER: 0.85}, SLOW, 8).chosen == FAST
    close = {SLOW: 1.12, OTHER: 1.02, Candidate("bf16", False): 1.25, FAST: 1.0}
    assert decide(close, SLOW, 8).chosen == OTHER, "compared with the best format of 32-bit"
    result = decide({FAST: 1.0, SLOW: 0.5, OTHER: 0.8}, FAST, 8)
    assert result.chosen == SLOW
    assert result.reason == (
        "32-bit: measured, 500 ms per step of 8 samples; 32-bit, channels-last takes 1.60 × as long; "
        "bf16, channels-last takes 2.00 × as long"
    )


def test_choice_without_enough_time_is_by_rule_and_says_so() -> None:
    result = decide({SLOW: 12.0}, SLOW, 8, is_complete=False)
    assert not result.is_complete
    assert result.reason == "32-bit: by rule, not measured, since a step takes 12 s"
    assert decide({}, FAST, 8).chosen == FAST and not decide({}, FAST, 8).is_complete


def test_slow_steps_leave_candidates_unmeasured(monkeypatch) -> None:
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(measuring, "now", lambda device: next(clock))
    monkeypatch.setattr(measuring, "seconds_of_step", lambda *arguments: 20.0)
    monkeypatch.setattr(measuring, "short_enough", lambda task, batch, *rest: batch)
    batch = {"inputs": torch.zeros(4, 2), "targets": torch.zeros(4), "index": torch.arange(4)}
    result = measure(nn.Identity(), batch, torch.device("cpu"), SLOW, [SLOW, FAST])
    assert result.chosen == SLOW and not result.is_complete


def test_candidates_are_timed_alternately(monkeypatch) -> None:
    order: list[Candidate] = []

    def timed(task, batch, device, candidate):
        order.append(candidate)
        return 1.0

    monkeypatch.setattr(measuring, "seconds_of_step", timed)
    monkeypatch.setattr(measuring, "short_enough", lambda task, batch, *rest: batch)
    batch = {"inputs": torch.zeros(4, 2), "targets": torch.zeros(4), "index": torch.arange(4)}
    measure(nn.Identity(), batch, torch.device("cpu"), SLOW, [FAST, SLOW])
    assert order == [SLOW, FAST] * measuring.REPEATS


class SlowIn32(nn.Sequential):
    """Takes its time in single precision."""

    def forward(self, inputs):
        found = super().forward(inputs)
        if not torch.is_autocast_enabled("cpu"):
            torch.stack([found.sum() for _ in range(3000)]).sum()
        return found


def test_faster_setting_is_chosen_and_the_model_is_unchanged() -> None:
    model = SlowIn32(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    task = ClassificationTask(model, class_names=["a", "b"])
    before = {name: value.clone() for name, value in task.state_dict().items()}
    batch = {
        "inputs": torch.randn(4, 3, 8, 8),
        "targets": torch.tensor([0, 1, 0, 1]),
        "index": torch.arange(4),
    }
    random = torch.get_rng_state()
    found = measure(task, batch, torch.device("cpu"), SLOW, [SLOW, Candidate("bf16", False)])
    assert found.chosen == Candidate("bf16", False) and len(found.seconds) == 2
    assert torch.get_rng_state().equal(random) and task._num_seen == 0
    assert all(value.equal(before[name]) for name, value in task.state_dict().items())
    assert all(parameter.grad is None for parameter in task.parameters())


def test_language_model_is_timed_on_windows_within_the_text(tmp_path) -> None:
    """The run has no state to resume from."""
    (np.arange(40) % 5).astype(np.uint16).tofile(tmp_path / "train.uint16")
    split = StreamSplit(tmp_path / "train.uint16", 8, np.ones(5, dtype=np.int64))
    batch = split.__getitems__([(0, place) for place in range(4)])
    task = LanguageTask(LSTM(5, vocab_size=5, per_step=True, embed_dim=3, hidden_size=4))
    found = measure(task, batch, torch.device("cpu"), SLOW, [SLOW])
    assert batch["first"] and len(found.seconds) == 1 and task.carried is None


def test_run_keeps_the_chosen_settings(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(measuring_hardware, "SMALL_MODEL", 1000)
    monkeypatch.setattr(measuring_hardware, "cpu_has_bf16", lambda: True)
    asked: list = []

    def clock(task, batch, device, candidate):
        asked.append(candidate)
        return 0.1 if candidate.precision == "bf16" else 0.3

    monkeypatch.setattr(measuring, "seconds_of_step", clock)
    words = ("data=digits", "model=small_cnn", "regularization=none", "trainer.max_epochs=1")
    plain = written(tmp_path / "plain", *words, "hardware=cpu", "hardware.precision=bf16")
    run = written(tmp_path / "run", *words, "hardware=auto")
    execute(plain)
    execute(run)
    assert "bf16: measured" in capsys.readouterr().out
    assert points(plain) == points(run), "measuring changes nothing else"
    kept = OmegaConf.load(run.config_path).hardware
    assert (kept.precision, kept.channels_last, kept.measure) == ("bf16", False, False)
    assert read_json(run.path / "hardware.json")["ms_per_step"]["bf16"] == 100
    number = len(asked)
    again = written(tmp_path / "again", *words, "hardware=auto")
    execute(again)
    assert len(asked) == number, "the same model on the same device was measured already"
    assert OmegaConf.load(again.config_path).hardware.precision == "bf16"


def test_small_model_is_not_timed(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measuring_hardware, "by_the_clock", lambda *arguments: pytest.fail("it was"))
    run = written(tmp_path / "run", "data=digits", "model=mlp", "trainer.max_epochs=1", "hardware=auto")
    execute(run)
    assert OmegaConf.load(run.config_path).hardware.get("precision") is None


def test_unmeasured_choice_is_not_cached(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(measuring_hardware, "SMALL_MODEL", 1000)
    monkeypatch.setattr(measuring_hardware, "cpu_has_bf16", lambda: True)
    incomplete = measuring.Measured(SLOW, {SLOW: 9.0}, "32-bit: by rule, not measured", is_complete=False)
    calls: list = []

    def unmeasured(*arguments):
        calls.append(arguments)
        return incomplete

    monkeypatch.setattr(measuring_hardware, "measure", unmeasured)
    words = ("data=digits", "model=small_cnn", "regularization=none", "trainer.max_epochs=1")
    for name in ("first", "second"):
        run = written(tmp_path / name, *words, "hardware=auto")
        execute(run)
        assert OmegaConf.load(run.config_path).hardware.precision == "32"
    assert len(calls) == 2
    assert not list(tmp_path.rglob(".hardware.json"))
