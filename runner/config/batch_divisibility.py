"""Checks whether a batch can be divided evenly among the devices of a run."""

from __future__ import annotations

from typing import Any

from runner.errors import ConfigError

__all__ = ["check_dealing", "dealing_problems"]


def dealing_problems(hardware: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Problems with the batch sizes, where the config gives the number of devices and the batch size."""
    devices, batch_size = hardware.get("devices", 1), data.get("batch_size")
    if is_count(devices) and is_count(hardware.get("num_nodes")):
        devices *= hardware["num_nodes"]
    if not is_count(devices) or devices == 1 or not is_count(batch_size):
        return []
    eval_batch_size = data.get("eval_batch_size")
    return problems_of(batch_size, eval_batch_size if is_count(eval_batch_size) else batch_size, devices)


def check_dealing(batch_size: int, eval_batch_size: int, num_devices: int) -> None:
    """Checks that every device receives the same share of a training batch and at least one evaluation sample.

    Raises:
        ConfigError: a batch cannot be divided evenly, or leaves a device without a sample.
    """
    if problems := problems_of(batch_size, eval_batch_size, num_devices):
        raise ConfigError(problems)


def problems_of(batch_size: int, eval_batch_size: int, num_devices: int) -> list[str]:
    problems = []
    if batch_size % num_devices:
        next_multiple = -(-batch_size // num_devices) * num_devices
        problems.append(
            f"data.batch_size={batch_size} is the total batch of all {num_devices} devices, and cannot be divided "
            f"evenly. Use data.batch_size={next_multiple}, or another number of devices."
        )
    if eval_batch_size < num_devices:
        problems.append(
            f"data.eval_batch_size={eval_batch_size} is the total batch of all {num_devices} devices: expected at "
            f"least {num_devices}."
        )
    return problems


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
