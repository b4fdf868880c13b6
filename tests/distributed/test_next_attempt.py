"""Tests that the next attempt uses smaller micro-batches if a step could not be repeated."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from runner.callbacks.micro_batch import MicroBatchSize
from runner.distributed.ddp import OneDeviceStrategy
from runner.distributed.micro_batching import MicroBatching


def trainer_of(
    folder, size: int | None, ranks: int = 2, halves: bool = True, accumulate: int = 1
) -> SimpleNamespace:
    strategy = OneDeviceStrategy(MicroBatching(size, halves), device=torch.device("cpu"))
    return SimpleNamespace(
        strategy=strategy,
        default_root_dir=str(folder),
        world_size=ranks,
        datamodule=SimpleNamespace(batch_size=64),
        accumulate_grad_batches=accumulate,
    )


def size_of_next(folder, failed: SimpleNamespace, error: Exception) -> int | None:
    for trainer in (failed, trainer_of(folder, None)):
        callback = MicroBatchSize({})
        callback.setup(trainer, None, "fit")
        if trainer is failed:
            callback.on_exception(trainer, None, error)
    callback.on_train_start(trainer, None)
    return trainer.strategy.micro_batching.size


OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize(("size", "then"), [(None, 16), (32, 16), (9, 4), (1, 1)])
def test_micro_batch_size_is_halved(tmp_path, size: int | None, then: int) -> None:
    assert size_of_next(tmp_path, trainer_of(tmp_path, size), OUT_OF_MEMORY) == then


def test_micro_batch_size_is_halved_with_gradient_accumulation(tmp_path) -> None:
    assert size_of_next(tmp_path, trainer_of(tmp_path, None, ranks=1, accumulate=2), OUT_OF_MEMORY) == 32


def test_other_failures_keep_the_micro_batch_size(tmp_path) -> None:
    assert size_of_next(tmp_path, trainer_of(tmp_path, None), ValueError("no")) is None
    assert size_of_next(tmp_path, trainer_of(tmp_path, None, halves=False), OUT_OF_MEMORY) is None
    assert size_of_next(tmp_path, trainer_of(tmp_path, None, ranks=1), OUT_OF_MEMORY) is None
