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
    """A place for one trial at a time.

    Attributes:
        number: number of the slot, from 0.
        devices: GPUs of its trial; empty without GPUs, or if another system assigns them.
    """

    number: int
    devices: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make only these GPUs visible."""
        return {VISIBLE: ",".join(self.devices)} if self.devices else {}


def visible_gpus(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the GPUs that this process may use, as named in ``CUDA_VISIBLE_DEVICES``.

    Uses ``nvidia-smi`` instead of a library, which would open the GPUs in this process.

    Args:
        environment: environment variables; None for those of this process.
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
    """Return the slots of this machine.

    Args:
        num_workers: number of slots.
        per_trial: number of devices of each; below 1, a share of a device.
        gpus: names of the available GPUs.

    Raises:
        ConfigError: there are fewer devices than required.
    """
    if not gpus:
        return [Slot(number) for number in range(num_workers)]
    share = max(1, round(1 / per_trial))
    take = max(1, round(per_trial))
    capacity = len(gpus) * share if per_trial < 1 else len(gpus) // take
    if num_workers > capacity:
        text = (
            f"sweep.num_workers={num_workers} trials at a time with {per_trial:g} GPUs each, but this "
            f"machine has {len(gpus)} GPUs, enough for {capacity} trials."
        )
        remedy = (
            f"Set sweep.num_workers={max(1, capacity)}, or let trials share a GPU with "
            f"sweep.devices_per_trial={1 / -(-num_workers // len(gpus)):.3g}."
        )
        raise ConfigError(Problem("sweep.num_workers", text, "unavailable", remedy))
    if per_trial < 1:  # each GPU gets one trial before any gets a second
        return [Slot(number, (gpus[number % len(gpus)],)) for number in range(num_workers)]
    return [Slot(number, tuple(gpus[number * take : (number + 1) * take])) for number in range(num_workers)]
