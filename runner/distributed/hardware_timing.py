"""Precision and memory format by the clock: a few steps of a copy of the model, forward and backward."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from runner.distributed.memory import is_out_of_memory, let_go
from runner.distributed.split_batch import cut, num_samples

__all__ = ["Candidate", "Measured", "measure"]

BUDGET_S = 2.5
"""Seconds of all candidates together; the first one may take longer."""

LEAST_NUMBERS = 50_000
"""In a batch to measure with: layouts compare differently where there is little to do."""

REPEATS = 3
WORTH = 1.1
"""A candidate must be faster than the expected one by this factor to be preferred."""

TYPES = {"bf16": torch.bfloat16, "16": torch.float16}
NAMES = {"32": "32-bit", "bf16": "bf16", "16": "fp16"}


@dataclass(frozen=True)
class Candidate:
    precision: str
    channels_last: bool

    def __str__(self) -> str:
        return NAMES[self.precision] + (", channels-last" if self.channels_last else "")


@dataclass(frozen=True)
class Measured:
    """
    Attributes:
        chosen: the fastest, or the one expected to be where that is as good.
        seconds: of a step, by candidate; those the time was not enough for are absent.
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
    """Times the candidates, the expected one first.

    Args:
        task: has ``training_step``; it is not modified.
        batch: on the CPU.

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
            took = seconds_of_step(task, batch, device, candidate)
            if took is not None:
                seconds[candidate] = took
    finally:
        torch.set_rng_state(random)
    return decide(seconds, expected, num_samples(batch))


def short_enough(
    task: nn.Module, batch: dict[str, Any], device: torch.device, expected: Candidate
) -> dict[str, Any]:
    """As many samples as a step of a fraction of the time takes; but not so few that they say nothing of
    more.
    """
    most, trial = BUDGET_S / 10, prepared(task, device, expected)
    numbers = sum(one.numel() for one in batch["inputs"]) / num_samples(batch)
    least = max(2, min(num_samples(batch), math.ceil(LEAST_NUMBERS / numbers)))
    took = step(trial, batch, device, expected.precision)
    while took > most and num_samples(batch) > least:
        parts = min(math.ceil(took / most), num_samples(batch) // least)
        if parts == 1:
            break
        batch = cut(batch, parts)[0]
        took = step(trial, batch, device, expected.precision)
    return batch


def moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    return [moved(item, device) for item in value] if isinstance(value, list) else value


def seconds_of_step(
    task: nn.Module, batch: dict[str, Any], device: torch.device, candidate: Candidate
) -> float | None:
    """Of the fastest of some steps, after one to warm up; None when it fails."""
    try:
        trial = prepared(task, device, candidate)
        warm_up = step(trial, batch, device, candidate.precision)
        repeats = 1 if warm_up > BUDGET_S / 5 else REPEATS
        return min(step(trial, batch, device, candidate.precision) for _ in range(repeats))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error) and "not implemented for" not in str(error):
            raise
        return None
    finally:
        let_go(device)


def prepared(task: nn.Module, device: torch.device, candidate: Candidate) -> Any:
    trial = copy.deepcopy(task).to(device)
    trial.model.to(memory_format=torch.channels_last if candidate.channels_last else torch.contiguous_format)
    trial.channels_last = candidate.channels_last
    return trial.train()


def step(task: Any, batch: dict[str, Any], device: torch.device, precision: str) -> float:
    begin = now(device)
    with torch.autocast(device.type, TYPES.get(precision, torch.bfloat16), enabled=precision in TYPES):
        loss = task.training_step(batch, 0)
    loss.backward()
    took = now(device) - begin
    task.zero_grad(set_to_none=True)
    return took


def now(device: torch.device) -> float:
    """On a processor its own time: what else the machine does must not decide."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def decide(seconds: dict[Candidate, float], expected: Candidate, count: int) -> Measured:
    """The expected one, unless another is clearly faster."""
    if expected not in seconds or len(seconds) == 1:
        return Measured(
            expected, seconds, f"{expected}: by rule, for there was no time to compare it with others"
        )
    fastest = min(seconds, key=seconds.__getitem__)
    chosen = fastest if seconds[expected] > WORTH * seconds[fastest] else expected
    others = sorted((other for other in seconds if other != chosen), key=seconds.__getitem__)
    ratios = "; ".join(f"{other} takes {seconds[other] / seconds[chosen]:.2f} × as long" for other in others)
    reason = f"{chosen}: measured, {1e3 * seconds[chosen]:.3g} ms a step of {count} samples; {ratios}"
    return Measured(chosen, seconds, reason)
