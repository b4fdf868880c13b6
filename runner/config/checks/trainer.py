"""Checks of numbers and of the ``trainer`` node beyond the signature of Lightning's trainer."""

from __future__ import annotations

import math
from typing import Any

from runner.config.checks.context import CheckContext
from runner.config.checks.values import is_number
from runner.errors import Problem
from runner.run.flatten import flatten

__all__ = ["RESERVED", "non_finite_problems", "trainer_problems"]


def non_finite_problems(plain: dict[str, Any]) -> list[Problem]:
    """Return a problem for each number in a config that is not finite.

    Args:
        plain: the config as plain containers.
    """
    return [
        Problem(key, f"{key}={value}: expected a finite number.", "out_of_bounds")
        for key, value in flatten(plain, lists="items")
        if isinstance(value, float) and not math.isfinite(value)
    ]


RESERVED = {
    "logger": "tracking", "callbacks": "callbacks", "plugins": "hardware", "strategy": "hardware",
    "accelerator": "hardware.accelerator", "devices": "hardware.devices", "precision": "hardware.precision",
    "num_nodes": "hardware", "sync_batchnorm": "hardware", "use_distributed_sampler": "hardware",
    "default_root_dir": "run.root", "enable_checkpointing": "checkpoint", "fast_dev_run": "debug=one_batch",
    "overfit_batches": "debug=overfit", "enable_progress_bar": None, "enable_model_summary": None,
    "num_sanity_val_steps": None, "barebones": None,
}  # fmt: skip
"""Arguments that runner passes itself, and the key that a config uses instead."""

MINIMUM = {
    "max_epochs": 1, "max_steps": 1, "accumulate_grad_batches": 1, "check_val_every_n_epoch": 1,
    "limit_train_batches": 0.001, "gradient_clip_val": 0, "log_every_n_steps": 0,
}  # fmt: skip
"""Minimum values.

Lightning 2.6 accepts smaller ones for some of these, but then trains nothing or fails during training.
"""

UNLIMITED = ("max_epochs", "max_steps")
"""Arguments for which Lightning interprets -1 as no limit."""


def trainer_problems(context: CheckContext) -> list[Problem]:
    """Checks for arguments that runner passes itself, for numbers that are too small, and for an end."""
    if not isinstance(context.plain.get("trainer"), dict):
        return []
    trainer, problems = context.node("trainer"), []
    for name, instead in RESERVED.items():
        if trainer.get(name) is not None:
            remedy = f"use {instead} instead" if instead else "remove it"
            text = f"trainer.{name}: runner passes it to the trainer itself; {remedy}."
            problems.append(Problem(f"trainer.{name}", text, "reserved"))
    for name, minimum in MINIMUM.items():
        value = trainer.get(name)
        if is_number(value) and value < minimum and not (name in UNLIMITED and value == -1):
            expected = "a number above 0" if minimum else "0 or more"
            text = f"trainer.{name}={value}: expected {expected}."
            problems.append(Problem(f"trainer.{name}", text, "out_of_bounds"))
    interval = trainer.get("val_check_interval")
    if is_number(interval) and interval == 0:  # Lightning 2.6 itself rejects negative numbers
        text = "trainer.val_check_interval=0: expected a number above 0."
        problems.append(Problem("trainer.val_check_interval", text, "out_of_bounds"))
    if is_zero_duration(trainer.get("max_time")):
        text = (
            f"trainer.max_time={trainer['max_time']}: expected a duration above 0, such as 00:01:30:00 "
            "(days, hours, minutes and seconds)."
        )
        problems.append(Problem("trainer.max_time", text, "out_of_bounds"))
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps")
    if epochs in (None, -1) and steps in (None, -1) and not trainer.get("max_time"):
        shown = "null" if epochs is None else epochs
        text = f"trainer.max_epochs={shown}: nothing ends the training."
        remedy = "Give trainer.max_epochs, trainer.max_steps or trainer.max_time."
        problems.append(Problem("trainer.max_epochs", text, "missing", remedy))
    return problems


def is_zero_duration(duration: Any) -> bool:
    """Return whether a duration, ``DD:HH:MM:SS`` or a mapping such as ``{hours: 1}``, is not above 0."""
    if isinstance(duration, str):
        parts = duration.split(":")
        return all(part.strip().isdigit() for part in parts) and not any(int(part) for part in parts)
    if isinstance(duration, dict):
        numbers = [value for value in duration.values() if is_number(value)]
        return len(numbers) == len(duration) and not any(value > 0 for value in numbers)
    return False
