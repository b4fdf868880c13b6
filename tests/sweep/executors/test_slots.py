from __future__ import annotations

import pytest

from runner.errors import ConfigError
from runner.sweep.executors.slots import make_slots, visible_gpus


def devices(*arguments) -> list[tuple[str, ...]]:
    return [slot.devices for slot in make_slots(*arguments)]


def test_devices_are_assigned_once() -> None:
    assert devices(3, 1, ["0", "1", "5"]) == [("0",), ("1",), ("5",)]
    assert devices(2, 2, ["0", "1", "2", "3", "4"]) == [("0", "1"), ("2", "3")]
    assert devices(2, 1, []) == [(), ()]


def test_fractions_of_a_device() -> None:
    assert devices(4, 0.5, ["0", "1"]) == [("0",), ("1",), ("0",), ("1",)]
    assert devices(3, 0.25, ["0"]) == [("0",)] * 3


def test_more_trials_than_devices_are_rejected() -> None:
    with pytest.raises(ConfigError, match="enough for 1 trials.*sweep.devices_per_trial=0.25"):
        make_slots(4, 1, ["0"])
    with pytest.raises(ConfigError, match="enough for 2 trials"):
        make_slots(3, 2, ["0", "1", "2", "3"])


def test_visible_devices() -> None:
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2, GPU-abc,MIG-1"}) == ["2", "GPU-abc", "MIG-1"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
