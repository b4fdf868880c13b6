"""Number of steps of a run, and an estimate of its duration before the first of them."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import torch

from runner.callbacks.deadline import seconds_of
from runner.callbacks.random_state import get_random_state, set_random_state
from runner.data.base import DataModule
from runner.distributed.hardware import ResolvedHardware
from runner.distributed.hardware_timing import Candidate, prepared_copy, step
from runner.distributed.memory import release_memory
from runner.errors import RunnerError
from runner.report.format import duration
from runner.tasks.base import Task
from runner.training.batch_counts import num_samples, total_batches, used_batches
from runner.training.hardware_benchmark import few_samples

__all__ = ["SampleTime", "describe_steps", "estimate_s", "time_sample"]

BATCH_OVERHEAD_S = 0.003
"""Time of hooks, metrics and the optimizer per batch (Lightning 2.6 on one core, small model)."""
EVAL_FRACTION = 1 / 3
"""Time of a forward pass relative to a training step, whose backward pass takes about twice as long."""
MAX_WARM_UP_S = 3.0
"""If the first step takes longer, it is not repeated."""
UNTIMED = (RunnerError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, MemoryError)
"""Errors for which the estimate is omitted: the training itself reports them in full."""


class SampleTime(NamedTuple):
    """Seconds for one sample.

    Attributes:
        load_s: reading and augmenting it.
        train_s: forward and backward pass.
    """

    load_s: float
    train_s: float


def describe_steps(
    config: dict[str, Any],
    data: DataModule,
    task: Task | None,
    hardware: ResolvedHardware | None,
    steps_done: int = 0,
) -> str:
    """Return number of steps and epochs, and the estimated duration, such as ``680 in 10 epochs; about 4 s``.

    Args:
        config: the resolved config.
        data: the data module after ``setup``.
        task: the task, which is copied to time it; None for no estimate.
        hardware: device and precision; None for no estimate.
        steps_done: steps of earlier attempts.
    """
    trainer = config["trainer"]
    per_epoch = used_batches(data, trainer, "train")
    total = None if per_epoch is None else total_batches(trainer, per_epoch)
    parts = [_count_text(trainer, per_epoch, total, steps_done)]
    if trainer.get("max_time") is not None:
        parts.append(f"at most trainer.max_time={trainer['max_time']}")
    is_timed = task is not None and hardware is not None and per_epoch and total
    sample = time_sample(data, task, hardware) if is_timed else None  # type: ignore[arg-type]  # see is_timed
    if sample is not None and per_epoch and total:
        left = total - steps_done * _accumulated(trainer)
        training_s, evaluation_s = estimate_s(data, trainer, sample, left, per_epoch)
        if trainer.get("max_time") is not None:
            training_s = min(training_s, seconds_of(trainer["max_time"]))
        parts.append(f"about {duration(training_s)}, and {duration(evaluation_s)} for the final evaluation")
    return "; ".join(parts)


def _count_text(trainer: dict[str, Any], per_epoch: int | None, total: int | None, steps_done: int) -> str:
    if per_epoch is None or total is None:
        return "unknown number" if per_epoch is None else f"{per_epoch:,} batches per epoch"
    steps, epochs = math.ceil(total / _accumulated(trainer)), math.ceil(total / per_epoch)
    text = f"{steps:,} in {epochs} epoch{'s' if epochs > 1 else ''} of {per_epoch:,} batches"
    return f"{text}, {steps_done:,} of them done" if steps_done else text


def _accumulated(trainer: dict[str, Any]) -> int:
    return int(trainer.get("accumulate_grad_batches") or 1)


def estimate_s(
    data: DataModule, trainer: dict[str, Any], sample: SampleTime, batches: int, per_epoch: int
) -> tuple[float, float]:
    """Return the seconds of the training with its validations, and those of the final evaluation.

    Args:
        data: the data module.
        trainer: the ``trainer`` node.
        sample: seconds for one sample.
        batches: number of training batches left.
        per_epoch: number of training batches per epoch.
    """
    train_s = batches * (data.batch_size * _seconds(sample, data.num_workers) + BATCH_OVERHEAD_S)
    evaluated = {split: _evaluation_s(data, trainer, sample, split) for split in ("val", "test")}
    interval = per_epoch * (trainer.get("check_val_every_n_epoch") or 1)
    within = trainer.get("val_check_interval")
    if isinstance(within, float) and within < 1:
        interval = max(int(per_epoch * within), 1)
    elif isinstance(within, int) and not isinstance(within, bool) and within > 1:
        interval = within
    return train_s + batches // interval * evaluated["val"], sum(evaluated.values())


def _evaluation_s(data: DataModule, trainer: dict[str, Any], sample: SampleTime, split: str) -> float:
    batches = used_batches(data, trainer, split) or 0
    count = min(num_samples(data, split), batches * data.eval_batch_size)
    forward = sample._replace(train_s=EVAL_FRACTION * sample.train_s)
    return count * _seconds(forward, data.num_workers) + batches * BATCH_OVERHEAD_S


def _seconds(sample: SampleTime, num_workers: int) -> float:
    """Return the seconds for a sample; loader workers read in parallel with the computation."""
    if num_workers:
        return max(sample.load_s / num_workers, sample.train_s)
    return sample.load_s + sample.train_s


def time_sample(data: DataModule, task: Task, hardware: ResolvedHardware) -> SampleTime | None:
    """Time a step of a copy of the task on a few samples; None if that is not possible.

    Random state, task and data are left unchanged.
    """
    if hardware.compile or data.world_size > 1 or hardware.accelerator not in ("cpu", "gpu"):
        return None
    random = get_random_state()
    device = torch.device("cuda" if hardware.accelerator == "gpu" else "cpu")
    try:
        begin = time.perf_counter()
        batch = few_samples(data, hardware.accelerator)
        count = max(len(batch["index"]), 1)
        load_s = (time.perf_counter() - begin) / count
        candidate = Candidate(hardware.precision.partition("-")[0], hardware.channels_last)
        task_copy = prepared_copy(task, device, candidate)
        batch = task_copy.transfer_batch_to_device(batch, device, 0)
        return SampleTime(load_s, _step_s(task_copy, batch, device, candidate.precision) / count)
    except UNTIMED:
        return None
    finally:
        set_random_state(random)
        release_memory(device)


def _step_s(task: Task, batch: dict[str, Any], device: torch.device, precision: str) -> float:
    """Return the wall time of a step; the first one includes the initialization of kernels."""
    for _ in range(2):
        begin = time.perf_counter()
        step(task, batch, device, precision)
        seconds = time.perf_counter() - begin
        if seconds > MAX_WARM_UP_S:
            break
    return seconds
