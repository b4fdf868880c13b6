"""Slots in which trials run: a fixed number at a time, each with its own devices."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runner.errors import ConfigError, Problem

__all__ = ["Slot", "make_slots", "visible_gpus"]

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Slot:
    """
    Attributes:
        devices: GPUs of the trial that is in it; none where there are none, or somebody else gives them out.
    """

    number: int
    devices: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {VISIBLE: ",".join(self.devices)} if self.devices else {}


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """The GPUs this process may use, as ``CUDA_VISIBLE_DEVICES`` names them.

    No library that would open one is asked.
    """
    environment = os.environ if environment is None else environment
    if VISIBLE in environment:
        return [name.strip() for name in environment[VISIBLE].split(",") if name.strip() not in ("", "-1")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        listed = subprocess.run(
            [tool, "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return listed.stdout.split()


def make_slots(num_workers: int, per_trial: float, gpus: Sequence[str]) -> list[Slot]:
    """
    Args:
        per_trial: devices of each; below 1, that share of a device.

    Raises:
        ConfigError: there are fewer devices than required.
    """
    if not gpus:
        return [Slot(number) for number in range(num_workers)]
    share = max(1, round(1 / per_trial))
    take = max(1, round(per_trial))
    room = len(gpus) * share if per_trial < 1 else len(gpus) // take
    if num_workers > room:
        text = (
            f"sweep.num_workers={num_workers} trials at a time with {per_trial:g} GPUs each, but there are "
            f"{len(gpus)} here: room for {room}."
        )
        remedy = (
            f"Take sweep.num_workers={max(1, room)}, or let trials share a GPU with "
            f"sweep.devices_per_trial={1 / -(-num_workers // len(gpus)):.3g}."
        )
        raise ConfigError(Problem("sweep.num_workers", text, "unavailable", remedy))
    if per_trial < 1:  # one on each GPU before the second on any
        return [Slot(number, (gpus[number % len(gpus)],)) for number in range(num_workers)]
    return [Slot(number, tuple(gpus[number * take : (number + 1) * take])) for number in range(num_workers)]
