"""Whether a batch can be dealt out to the devices of a run."""

from __future__ import annotations

from typing import Any

from runner.errors import ConfigError

__all__ = ["check_dealing", "dealing_problems"]


def dealing_problems(hardware: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """As far as the config says how many devices there are, and how large a batch is."""
    devices, batch_size = hardware.get("devices", 1), data.get("batch_size")
    if is_count(devices) and is_count(hardware.get("num_nodes")):
        devices *= hardware["num_nodes"]
    if not is_count(devices) or devices == 1 or not is_count(batch_size):
        return []
    eval_batch_size = data.get("eval_batch_size")
    return problems_of(batch_size, eval_batch_size if is_count(eval_batch_size) else batch_size, devices)


def check_dealing(batch_size: int, eval_batch_size: int, num_devices: int) -> None:
    """
    Raises:
        ConfigError: a batch cannot be dealt out evenly, or leaves a device without a sample.
    """
    if problems := problems_of(batch_size, eval_batch_size, num_devices):
        raise ConfigError(problems)


def problems_of(batch_size: int, eval_batch_size: int, num_devices: int) -> list[str]:
    problems = []
    if batch_size % num_devices:
        more = -(-batch_size // num_devices) * num_devices
        problems.append(
            f"data.batch_size={batch_size} is the batch of all {num_devices} devices together, and cannot be dealt out "
            f"evenly. Take data.batch_size={more}, or another number of devices."
        )
    if eval_batch_size < num_devices:
        problems.append(
            f"data.eval_batch_size={eval_batch_size} is the batch of all {num_devices} devices together: expected at "
            f"least {num_devices}."
        )
    return problems


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
