"""Checks of numbers and of the ``trainer`` node beyond the signature of Lightning's trainer."""

from __future__ import annotations

import math
from typing import Any

from runner.config.leaves import leaves

__all__ = ["RESERVED", "non_finite_problems", "trainer_problems"]


def non_finite_problems(plain: dict[str, Any]) -> list[str]:
    """Return a message for each number that is not finite."""
    return [
        f"{key}={value}: expected a finite number."
        for key, value in leaves(plain)
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

LEAST = {
    "max_epochs": 1, "max_steps": 1, "accumulate_grad_batches": 1, "check_val_every_n_epoch": 1,
    "limit_train_batches": 0.001, "gradient_clip_val": 0, "log_every_n_steps": 0,
}  # fmt: skip
"""Minimum values.

Lightning accepts smaller ones for some of these, but then trains nothing or fails during training.
"""

ENDLESS = ("max_epochs", "max_steps")


def trainer_problems(trainer: Any) -> list[str]:
    if not isinstance(trainer, dict):
        return []
    problems = []
    for key, instead in RESERVED.items():
        if trainer.get(key) is not None:
            remedy = f"use {instead} instead" if instead else "remove it"
            problems.append(f"trainer.{key}: runner passes it to the trainer itself; {remedy}.")
    for key, least in LEAST.items():
        value = trainer.get(key)
        if is_number(value) and value < least and not (key in ENDLESS and value == -1):
            expected = "a number above 0" if least else "0 or more"
            problems.append(f"trainer.{key}={value}: expected {expected}.")
    interval = trainer.get("val_check_interval")
    if is_number(interval) and interval == 0:  # Lightning rejects negative numbers
        problems.append("trainer.val_check_interval=0: expected a number above 0.")
    if is_no_time(trainer.get("max_time")):
        problems.append(
            f"trainer.max_time={trainer['max_time']}: expected a duration above 0, such as 00:01:30:00 (days, "
            "hours, minutes and seconds)."
        )
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps")
    if epochs in (None, -1) and steps in (None, -1) and not trainer.get("max_time"):
        shown = "null" if epochs is None else epochs
        problems.append(
            f"trainer.max_epochs={shown}: nothing ends the training. Give trainer.max_epochs, "
            "trainer.max_steps or "
            "trainer.max_time."
        )
    return problems


def is_no_time(duration: Any) -> bool:
    """Return whether a duration, ``DD:HH:MM:SS`` or a mapping such as ``{hours: 1}``, is not above 0."""
    if isinstance(duration, str):
        parts = duration.split(":")
        return all(part.strip().isdigit() for part in parts) and not any(int(part) for part in parts)
    if isinstance(duration, dict):
        numbers = [value for value in duration.values() if is_number(value)]
        return len(numbers) == len(duration) and not any(value > 0 for value in numbers)
    return False


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
