"""Chooses precision and memory format by timing a few training steps of a copy of the model."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from runner.distributed.memory import is_out_of_memory, release_memory
from runner.distributed.split_batch import cut, num_samples

__all__ = ["Candidate", "Measured", "measure"]

BUDGET_S = 2.5
"""Time for all candidates together in seconds; the first one may take longer."""

MIN_NUMBERS = 50_000
"""Minimum number of input values in a timed batch; small batches favor other memory formats."""

REPEATS = 3
MIN_SPEEDUP = 1.1
"""A candidate must be faster than the expected one by this factor to be preferred."""

DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}
NAMES = {"32": "32-bit", "bf16": "bf16", "16": "fp16"}


@dataclass(frozen=True)
class Candidate:
    """A combination of settings.

    Attributes:
        precision: ``32``, ``bf16`` or ``16``.
        channels_last: whether convolutions use the channels-last memory format.
    """

    precision: str
    channels_last: bool

    def __str__(self) -> str:
        return NAMES[self.precision] + (", channels-last" if self.channels_last else "")


@dataclass(frozen=True)
class Measured:
    """Result of timing the candidates.

    Attributes:
        chosen: the fastest candidate, or the expected one if it is about as fast.
        seconds: seconds per step by candidate, without those that failed or were not timed.
        reason: a phrase with the figures.
    """

    chosen: Candidate
    seconds: dict[Candidate, float]
    reason: str


def measure(
    task: nn.Module,
    batch: dict[str, Any],
    device: torch.device,
    expected: Candidate,
    candidates: list[Candidate],
) -> Measured:
    """Time the candidates, the expected one first.

    Args:
        task: a module with ``training_step``; it is not modified.
        batch: a batch on the CPU.
        device: the device to time on.
        expected: the candidate chosen by rule.
        candidates: all candidates, including the expected one.

    Returns:
        The choice. Candidates that fail are excluded.
    """
    order = sorted(candidates, key=lambda candidate: (candidate != expected, candidate.channels_last))
    batch = {key: moved(value, device) for key, value in batch.items()}
    random = torch.get_rng_state()
    seconds: dict[Candidate, float] = {}
    begin = now(device)
    try:
        batch = short_enough(task, batch, device, expected)
        for candidate in order:
            if seconds and now(device) - begin > BUDGET_S:
                break
            step_s = seconds_of_step(task, batch, device, candidate)
            if step_s is not None:
                seconds[candidate] = step_s
    finally:
        torch.set_rng_state(random)
    return decide(seconds, expected, num_samples(batch))


def short_enough(
    task: nn.Module, batch: dict[str, Any], device: torch.device, expected: Candidate
) -> dict[str, Any]:
    """Shorten a batch until a step takes at most a tenth of the available time.

    The result keeps enough samples to be representative of a full batch.
    """
    max_s, model_copy = BUDGET_S / 10, prepared_copy(task, device, expected)
    numbers_per_sample = sum(sample.numel() for sample in batch["inputs"]) / num_samples(batch)
    min_samples = max(2, min(num_samples(batch), math.ceil(MIN_NUMBERS / numbers_per_sample)))
    step_s = step(model_copy, batch, device, expected.precision)
    while step_s > max_s and num_samples(batch) > min_samples:
        parts = min(math.ceil(step_s / max_s), num_samples(batch) // min_samples)
        if parts == 1:
            break
        batch = cut(batch, parts)[0]
        step_s = step(model_copy, batch, device, expected.precision)
    return batch


def moved(value: Any, device: torch.device) -> Any:
    """Copy nested containers with all tensors on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    return [moved(item, device) for item in value] if isinstance(value, list) else value


def seconds_of_step(
    task: nn.Module, batch: dict[str, Any], device: torch.device, candidate: Candidate
) -> float | None:
    """Return the seconds of the fastest of several steps after a warm-up; None if the candidate fails."""
    try:
        model_copy = prepared_copy(task, device, candidate)
        warm_up_s = step(model_copy, batch, device, candidate.precision)
        repeats = 1 if warm_up_s > BUDGET_S / 5 else REPEATS
        return min(step(model_copy, batch, device, candidate.precision) for _ in range(repeats))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) and "not implemented for" not in str(error):
            raise
        return None
    finally:
        release_memory(device)


def prepared_copy(task: nn.Module, device: torch.device, candidate: Candidate) -> Any:
    """Return a copy of the task on the device, in training mode, with the candidate's memory format."""
    task_copy: Any = copy.deepcopy(task).to(device)
    memory_format = torch.channels_last if candidate.channels_last else torch.contiguous_format
    task_copy.model.to(memory_format=memory_format)
    task_copy.channels_last = candidate.channels_last
    return task_copy.train()


def step(task: Any, batch: dict[str, Any], device: torch.device, precision: str) -> float:
    """Run a forward and a backward pass and return the seconds."""
    begin = now(device)
    with torch.autocast(device.type, DTYPES.get(precision, torch.bfloat16), enabled=precision in DTYPES):
        loss = task.training_step(batch, 0)
    loss.backward()
    seconds = now(device) - begin
    task.zero_grad(set_to_none=True)
    return seconds


def now(device: torch.device) -> float:
    """Return the time in seconds; on a CPU the process time, so that other processes have no influence."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def decide(seconds: dict[Candidate, float], expected: Candidate, count: int) -> Measured:
    """Choose the expected candidate unless another is clearly faster.

    Args:
        seconds: seconds per step by candidate.
        expected: the candidate chosen by rule.
        count: number of samples in the timed batch, for the reason.
    """
    if expected not in seconds or len(seconds) == 1:
        return Measured(expected, seconds, f"{expected}: by rule, since no other candidate could be timed")
    fastest = min(seconds, key=seconds.__getitem__)
    chosen = fastest if seconds[expected] > MIN_SPEEDUP * seconds[fastest] else expected
    others = sorted((other for other in seconds if other != chosen), key=seconds.__getitem__)
    ratios = "; ".join(f"{other} takes {seconds[other] / seconds[chosen]:.2f} × as long" for other in others)
    reason = f"{chosen}: measured, {1e3 * seconds[chosen]:.3g} ms per step of {count} samples; {ratios}"
    return Measured(chosen, seconds, reason)
