from __future__ import annotations

import os
import time

import psutil
import pytest

from runner.run.journal import read_points
from runner.tracking.system import SystemSampler, sample_gpus


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts a program on the path that answers as ``nvidia-smi`` does."""

    def answer(lines: str, code: int = 0) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}\nEND\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return answer


def test_each_gpu_uses_mlflow_metric_names(nvidia_smi):
    nvidia_smi("35, 1024, 4096, 75.50\n0, 0, 4096, [N/A]")
    assert sample_gpus() == {
        "gpu_0_utilization_percentage": 35.0,
        "gpu_0_memory_usage_megabytes": pytest.approx(1073.7, abs=0.1),
        "gpu_0_memory_usage_percentage": 25.0,
        "gpu_0_power_usage_watts": 75.5,
        "gpu_1_utilization_percentage": 0.0,
        "gpu_1_memory_usage_megabytes": 0.0,
        "gpu_1_memory_usage_percentage": 0.0,
    }


@pytest.mark.parametrize(("answer", "code"), [("No devices were found", 0), ("driver mismatch", 9), ("", 0)])
def test_failing_driver_counts_as_no_gpu(nvidia_smi, answer, code):
    nvidia_smi(answer, code)
    assert sample_gpus() == {}


def test_machine_without_a_gpu(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert sample_gpus() == {}


def test_samples_are_appended_to_the_journal(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    path = tmp_path / "system.jsonl"
    for _ in range(2):
        sampler = SystemSampler(path, os.getpid())
        sampler.start()
        until = time.monotonic() + 30
        before = len(list(read_points(path)))
        while len(list(read_points(path))) == before and time.monotonic() < until:
            time.sleep(0.05)
        sampler.stop()
    points = list(read_points(path))
    assert [point.step for point in points] == list(range(len(points)))
    assert len(points) >= 2
    metrics = points[-1].metrics
    assert metrics["system/disk_available_megabytes"] > 0
    assert 0 < metrics["system/system_memory_usage_percentage"] < 100


def test_run_memory_includes_children_but_not_the_mirror(tmp_path):
    path = tmp_path / "system.jsonl"
    assert SystemSampler(path, os.getpid())._own_memory() < psutil.Process().memory_info().rss
    assert SystemSampler(path, os.getppid())._own_memory() > 1_000_000
    assert SystemSampler(path, 2**22 + 1)._own_memory() == 0


def test_sampling_overhead_is_small(tmp_path, monkeypatch):
    """In processor time of the mirror's process; one is taken every ten seconds."""
    monkeypatch.setenv("PATH", "/nowhere")
    sampler = SystemSampler(tmp_path / "system.jsonl", os.getpid())
    sampler.sample()
    started = time.process_time()
    for _ in range(10):
        sampler.sample()
    assert (time.process_time() - started) / 10 < 0.1
