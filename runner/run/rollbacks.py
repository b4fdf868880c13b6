"""Rollbacks of a run to an earlier checkpoint after non-finite or diverging losses: ``roll_backs.json``."""

from __future__ import annotations

import math
import time
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json

__all__ = ["add_roll_back", "lr_scale", "read_roll_backs"]


def read_roll_backs(run: RunDir) -> list[dict[str, Any]]:
    """The rollbacks, oldest first: ``reason``, ``checkpoint`` (None for the beginning), ``lr_factor``."""
    return read_json(run.path / "roll_backs.json", [])


def add_roll_back(run: RunDir, reason: str, checkpoint: str | None, lr_factor: float) -> None:
    entry = {
        "reason": reason,
        "checkpoint": checkpoint,
        "lr_factor": lr_factor,
        "time": round(time.time(), 3),
    }
    write_json(run.path / "roll_backs.json", [*read_roll_backs(run), entry], durable=True)


def lr_scale(run: RunDir) -> float:
    """The product of all rollbacks' learning-rate factors, applied to the config's learning rate."""
    return math.prod(entry["lr_factor"] for entry in read_roll_backs(run))
