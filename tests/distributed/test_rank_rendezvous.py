"""Ranks that began with the same command agree on one run directory."""

from __future__ import annotations

import socket
import threading

import pytest
from omegaconf import OmegaConf

from runner.config.composition import Composition
from runner.distributed import rank_rendezvous
from runner.distributed.process_info import ProcessInfo
from runner.errors import ConfigError
from runner.launch.start import set_devices
from runner.run.directory import RunDir


@pytest.fixture
def two(monkeypatch) -> tuple[ProcessInfo, ProcessInfo]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(probe.getsockname()[1]))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setattr(rank_rendezvous, "_stores", [])
    return ProcessInfo(0, 2, 0, 2, 0, True, "environment"), ProcessInfo(1, 2, 1, 2, 0, True, "environment")


def together(places, decide) -> list:
    """What each rank got, or the error that ended it."""
    found = [None, None]

    def rank(process_info: ProcessInfo) -> None:
        try:
            found[process_info.rank] = rank_rendezvous.broadcast_decision(process_info, decide)
        except BaseException as error:
            found[process_info.rank] = error

    threads = [threading.Thread(target=rank, args=(process_info,)) for process_info in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_rank_zero_decides(two, tmp_path) -> None:
    calls = []

    def decide(before):
        calls.append(before)
        return RunDir(tmp_path / "run")

    assert together(two, decide) == [RunDir(tmp_path / "run")] * 2
    assert calls == [None]


def test_error_is_reported_by_one_rank(two) -> None:
    def decide(before):
        raise ConfigError("there is no model=mpl")

    first, second = together(two, decide)
    assert isinstance(first, ConfigError)
    assert isinstance(second, SystemExit) and second.code == 2


def test_none_is_broadcast_to_all_ranks(two) -> None:
    assert together(two, lambda before: None) == [None, None]


def composition(explicit=(), **hardware) -> Composition:
    config = OmegaConf.create({"hardware": hardware, "launcher": {"kind": "local"}})
    return Composition(config, {}, explicit=set(explicit))


def test_number_of_processes_is_written_to_the_config() -> None:
    made = composition(accelerator="auto", devices=1)
    assert set_devices(ProcessInfo(0, 8, 0, 4, 0, True, "torchrun"), made) == []
    assert made.config.hardware.devices == 4 and made.config.hardware.num_nodes == 2


def test_conflicting_number_of_devices_is_rejected() -> None:
    (problem,) = set_devices(
        ProcessInfo(0, 2, 0, 2, 0, True, "torchrun"), composition(["hardware.devices"], devices=4)
    )
    assert (problem.key, problem.kind) == ("hardware.devices", "incompatible")
    assert "hardware.devices=4" in problem.message and "torchrun has started 2 processes" in problem.message


def test_conflicting_launcher_is_rejected() -> None:
    made = composition(devices=1)
    made.config.launcher.kind = "elastic"
    (problem,) = set_devices(ProcessInfo(0, 2, 0, 2, 0, True, "srun"), made)
    assert (problem.key, problem.kind) == ("launcher", "no_effect")
    assert "launcher=elastic would have no effect" in problem.message
    assert set_devices(ProcessInfo(), made) == []
