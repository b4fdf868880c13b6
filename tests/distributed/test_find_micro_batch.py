"""How many samples at once fit into the memory."""

from __future__ import annotations

import pytest
from distributed.ranks import TINY, in_ranks, largest_difference, points, trained, written
from omegaconf import OmegaConf

import runner.distributed.find_micro_batch as fit_memory
from runner.distributed.find_micro_batch import GIB, Need, fitting_size
from runner.training.worker import execute

WORDS = (*TINY["classification"], "trainer.max_epochs=1", "hardware.micro_batch=auto")


def test_micro_batches_are_of_nearly_equal_size() -> None:
    need = Need(fixed=0, per_sample=10, update=100, free=(100 + 30 * 10) / fit_memory.FILL)
    assert need.max_samples == 30
    assert [fitting_size(need, share) for share in (30, 31, 64, 90)] == [None, 16, 22, 30]
    assert fitting_size(Need(0, float("inf"), 0, 1), 8) == 1


def test_fitting_micro_batch_size_is_found_and_stored_in_the_config(tmp_path, monkeypatch, capsys) -> None:
    """The small network keeps about 15 kB per sample; the memory is set to 1 MiB."""
    run = written(tmp_path / "auto", *WORDS, "hardware=cpu", f"hardware.memory_gib={1 / 1024}")
    execute(run)
    kept = OmegaConf.load(run.config_path).hardware
    assert 4 <= kept.micro_batch < 64 and kept.memory_gib is None
    assert f"{kept.micro_batch} of 64 samples" in capsys.readouterr().out
    asked = trained(tmp_path / "asked", 1, *WORDS[:-1], f"hardware.micro_batch={kept.micro_batch}")
    assert points(run) == points(asked), "looking for it changed nothing"


def test_batch_is_not_split_when_memory_suffices(tmp_path) -> None:
    plain = trained(tmp_path / "plain", 1, *WORDS[:-1])
    auto = trained(tmp_path / "auto", 1, *WORDS)
    assert points(auto) == points(plain)
    assert OmegaConf.load(auto.config_path).hardware.micro_batch is None


def test_estimate_matches_the_memory_of_activations(tmp_path, monkeypatch) -> None:
    """The second linear layer keeps its input: 1000 numbers of 4 bytes a sample."""
    import pytorch_lightning as pl
    import torch
    from torch import nn

    from runner.distributed.ddp import OneDeviceStrategy
    from runner.distributed.micro_batching import MicroBatching
    from runner.tasks.regression import RegressionTask

    task = RegressionTask(nn.Sequential(nn.Linear(1000, 1000), nn.Linear(1000, 1)), torch.optim.SGD)
    strategy = OneDeviceStrategy(MicroBatching(), device=torch.device("cpu"))
    pl.Trainer(strategy=strategy, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False)
    strategy.connect(task)
    batch = {"inputs": torch.randn(8, 1000), "targets": torch.randn(8, 1), "index": torch.arange(8)}
    need = fit_memory.measure_need(strategy, batch, 8, 1.0, 1)
    assert need.per_sample == pytest.approx(fit_memory.CPU_FACTOR * 4000, rel=0.05), (
        "the batch itself is there already"
    )
    assert need.update == 3 * 4 * sum(p.numel() for p in task.parameters())
    assert need.free == GIB


@pytest.mark.slow
def test_all_ranks_use_the_smallest_micro_batch(tmp_path, monkeypatch) -> None:
    """Rank one has half the memory of rank zero."""
    free_bytes = fit_memory.free_bytes

    def scarce(device):
        import os

        return min(free_bytes(device), 1.5 * 2**20 / (1 + int(os.environ["RANK"])))

    monkeypatch.setattr(fit_memory, "free_bytes", scarce)
    words = (*WORDS, "hardware=cpu_ddp", "hardware.sync_batchnorm=true")
    run = written(tmp_path / "two", *words)
    in_ranks(2, execute, run)
    size = OmegaConf.load(run.config_path).hardware.micro_batch
    assert 1 < size < 32
    asked = written(tmp_path / "asked", *words, f"hardware.micro_batch={size}")
    in_ranks(2, execute, asked)
    assert largest_difference(run, asked) == 0
