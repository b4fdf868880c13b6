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
"""Time for all candidates together in seconds."""

MIN_NUMBERS = 50_000
"""Minimum number of input values in a timed batch; small batches favor other memory formats."""

REPEATS = 5
MIN_SPEEDUP = 1.1
"""A lower precision must be faster than 32-bit by this factor to be preferred."""
MAX_FACTOR = 4
"""Multiple of the budget within which each candidate is timed at least once."""

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
        chosen: the fastest 32-bit candidate, unless another precision is clearly faster.
        seconds: seconds per step by candidate, without those that failed or were not timed.
        reason: a phrase with the figures.
        is_complete: whether every candidate was tried; otherwise the choice is a rule's.
    """

    chosen: Candidate
    seconds: dict[Candidate, float]
    reason: str
    is_complete: bool = True


def measure(
    task: nn.Module,
    batch: dict[str, Any],
    device: torch.device,
    fallback: Candidate,
    candidates: list[Candidate],
) -> Measured:
    """Time steps of the candidates alternately, the simplest candidate first.

    Args:
        task: a module with ``training_step``; it is not modified.
        batch: a batch on the CPU.
        device: the device to time on.
        fallback: the choice by rule if there is not enough time to try all candidates.
        candidates: all candidates.

    Returns:
        The choice. Candidates that fail are excluded.
    """
    order = sorted(candidates, key=complexity)
    batch = {key: moved(value, device) for key, value in batch.items()}
    random = torch.get_rng_state()
    seconds: dict[Candidate, float] = {}
    failed: set[Candidate] = set()
    begin = now(device)
    try:
        batch = short_enough(task, batch, device, order[0])
        for repeat in range(REPEATS):
            for candidate in order:
                if candidate in failed or now(device) - begin > (1 if repeat else MAX_FACTOR) * BUDGET_S:
                    continue
                step_s = seconds_of_step(task, batch, device, candidate)
                if step_s is None:
                    failed.add(candidate)
                else:
                    seconds[candidate] = min(step_s, seconds.get(candidate, step_s))
    finally:
        torch.set_rng_state(random)
    is_complete = len(seconds) + len(failed) == len(order)
    return decide(seconds, fallback, num_samples(batch), is_complete)


def complexity(candidate: Candidate) -> tuple[bool, bool]:
    """Return the order of candidates: 32-bit before bf16, and the default memory format first."""
    return candidate.precision != "32", candidate.channels_last


def short_enough(
    task: nn.Module, batch: dict[str, Any], device: torch.device, candidate: Candidate
) -> dict[str, Any]:
    """Shorten a batch until a step takes at most a tenth of the available time.

    The result keeps enough samples to be representative of a full batch.
    """
    max_s, model_copy = BUDGET_S / 10, prepared_copy(task, device, candidate)
    numbers_per_sample = sum(sample.numel() for sample in batch["inputs"]) / num_samples(batch)
    min_samples = max(2, min(num_samples(batch), math.ceil(MIN_NUMBERS / numbers_per_sample)))
    step_s = step(model_copy, batch, device, candidate.precision)
    while step_s > max_s and num_samples(batch) > min_samples:
        parts = min(math.ceil(step_s / max_s), num_samples(batch) // min_samples)
        if parts == 1:
            break
        batch = cut(batch, parts)[0]
        step_s = step(model_copy, batch, device, candidate.precision)
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
    """Return the seconds of a step after a warm-up; None if the candidate fails."""
    try:
        model_copy = prepared_copy(task, device, candidate)
        step(model_copy, batch, device, candidate.precision)
        return step(model_copy, batch, device, candidate.precision)
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


def decide(
    seconds: dict[Candidate, float], fallback: Candidate, count: int, is_complete: bool = True
) -> Measured:
    """Choose the fastest memory format, and 32-bit unless another precision is clearly faster.

    Args:
        seconds: seconds per step by candidate.
        fallback: the choice if not all candidates were tried.
        count: number of samples in the timed batch, for the reason.
        is_complete: whether every candidate was tried.
    """
    if not is_complete or not seconds:
        longest = max(seconds.values(), default=0.0)
        cause = f"a step takes {longest:.2g} s" if longest > BUDGET_S / 5 else "no candidate could be timed"
        return Measured(fallback, seconds, f"{fallback}: by rule, not measured, since {cause}", False)
    best = {
        precision: min(same_precision, key=seconds.__getitem__)
        for precision in {candidate.precision for candidate in seconds}
        if (same_precision := [candidate for candidate in seconds if candidate.precision == precision])
    }
    chosen = min(best.values(), key=complexity)
    for candidate in best.values():
        if MIN_SPEEDUP * seconds[candidate] < seconds[chosen]:
            chosen = candidate
    others = sorted((other for other in seconds if other != chosen), key=seconds.__getitem__)
    ratios = "".join(f"; {other} takes {seconds[other] / seconds[chosen]:.2f} × as long" for other in others)
    reason = f"{chosen}: measured, {1e3 * seconds[chosen]:.3g} ms per step of {count} samples{ratios}"
    return Measured(chosen, seconds, reason)
