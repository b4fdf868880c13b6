"""What the tests of schedules share."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch

from runner.optim.schedule import Schedule


def make_optimizer(
    kind: type = torch.optim.SGD, lrs: tuple[float, ...] = (1.0,), **settings
) -> torch.optim.Optimizer:
    torch.manual_seed(0)
    return kind([{"params": [torch.nn.Parameter(torch.ones(2))], "lr": lr} for lr in lrs], **settings)


def take_step(optimizer: torch.optim.Optimizer, schedule: Schedule) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = parameter.detach().clone()
    optimizer.step()
    schedule.scheduler.step()


@pytest.fixture
def optimizer() -> Callable[..., torch.optim.Optimizer]:
    """Makes an optimizer of one two-number parameter per learning rate."""
    return make_optimizer


@pytest.fixture
def curve() -> Callable[[torch.optim.Optimizer, Schedule, int], list[float]]:
    """The first group's learning rate at each of so many steps."""

    def follow(
        optimizer: torch.optim.Optimizer, schedule: Schedule, steps: int, key: str = "lr"
    ) -> list[float]:
        seen = []
        for _ in range(steps):
            value = optimizer.param_groups[0][key]
            seen.append(value[0] if isinstance(value, tuple) else value)
            take_step(optimizer, schedule)
        return seen

    return follow


@pytest.fixture
def through_a_file() -> Callable[[dict], dict]:
    """A state dict saved and read back as a checkpoint is: weights only."""

    def round_trip(state: dict) -> dict:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        buffer.seek(0)
        return torch.load(buffer, weights_only=True)

    return round_trip
