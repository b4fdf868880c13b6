"""How often a run went back to an earlier checkpoint because its numbers had gone wrong: ``roll_backs.json``."""

from __future__ import annotations

import math
import time
from typing import Any

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json

__all__ = ["add_roll_back", "lr_scale", "read_roll_backs"]


def read_roll_backs(run: RunDir) -> list[dict[str, Any]]:
    """The oldest first: ``reason``, ``checkpoint`` (None is the beginning), ``lr_factor``."""
    return read_json(run.path / "roll_backs.json", [])


def add_roll_back(run: RunDir, reason: str, checkpoint: str | None, lr_factor: float) -> None:
    entry = {"reason": reason, "checkpoint": checkpoint, "lr_factor": lr_factor, "time": round(time.time(), 3)}
    write_json(run.path / "roll_backs.json", [*read_roll_backs(run), entry], durable=True)


def lr_scale(run: RunDir) -> float:
    """What the config's learning rate is multiplied by, after all of them."""
    return math.prod(entry["lr_factor"] for entry in read_roll_backs(run))
