"""Compares the config of a run with a new one, and decides which changes are allowed when it is resumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.config.facts import PLACEHOLDER
from runner.errors import Problem
from runner.run.flatten import flatten

__all__ = ["Change", "comparable_values", "find_changes", "lengthens", "rejections"]

FREE = (
    "run",
    "resume",
    "plots",
    "report",
    "tracking",
    "launcher",
    "hardware.accelerator",
    "hardware.devices",
    "hardware.num_nodes",
    "hardware.strategy",
    "hardware.num_threads",
    "checkpoint",
    "guard",
    "sweep",
    "data.num_workers",
    "data.eval_batch_size",
    "data.root",
    "data.path",
    "data.cache",
    "data.download",
    "trainer.log_every_n_steps",
    "trainer.profiler",
    "trainer.limit_test_batches",
    "trainer.check_val_every_n_epoch",
)
"""Keys that decide where and how a run is executed, but do not affect its results."""
ENDS = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "regularization.early_stopping")
ACTING = (
    *ENDS,
    "trainer.min_epochs",
    "trainer.min_steps",
    "trainer.gradient_clip_val",
    "trainer.gradient_clip_algorithm",
    "hardware",
    "optimizer",
)
"""Keys that change the rest of the training and are allowed."""
REJECTED = {
    "optimizer._target_": "the optimizer's state in the checkpoint is that of the old one",
    "optimizer._partial_": "runner requires its current value",
    "model": "the weights in the checkpoint are those of the old model",
    "pretrained": "it defines the initial weights, and the model is already trained",
    "weights": "it defines the initial weights, and the model is already trained",
    "task": "the metrics before and after would belong to different problems",
    "data": "the samples, their order or their targets would differ from those trained on so far",
    "seed": "it determines order and augmentation: some samples would be seen twice and others not at all",
    "scheduler": "the schedule has already started",
    "transfer": "which parameters are trained, and how, was set at the start",
    "regularization": "its values were passed to model, data and optimizer at the start",
    "callbacks": "their state in the checkpoint is that of the old callbacks",
    "debug": "a debug run is a separate run",
    "trainer": "the meaning of a step, an epoch or a metric would change",
}
"""Key → why it may not change.

The first matching entry applies to keys that are in none of the lists above.
"""
NO_DIFFERENCE = ("run.root", "run.name", "resume")


@dataclass(frozen=True)
class Change:
    """A key whose value differs between two configs.

    Attributes:
        key: the dotted key.
        before: old value; None if the key is absent.
        now: new value; None if the key is absent.
    """

    key: str
    before: Any
    now: Any

    @property
    def acts(self) -> bool:
        """Return whether the change affects the rest of the training."""
        return not below(self.key, FREE)

    def __str__(self) -> str:
        text = f"{self.key}: {shown(self.before)} → {shown(self.now)}"
        return f"{text} (acts from here on)" if self.acts and self.reason is None else text

    @property
    def reason(self) -> str | None:
        """Why the change is rejected, or None if it is allowed."""
        if self.key.startswith("optimizer._"):
            return REJECTED.get(self.key, "it is not a setting")
        if below(self.key, FREE) or below(self.key, ACTING):
            return None
        reasons = (reason for key, reason in REJECTED.items() if below(self.key, (key,)))
        return next(reasons, "the run would no longer be the same before and after the change")


def find_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Return every key whose value differs.

    New values that are ``auto`` or a fact of the data are not compared.
    """
    old, new = comparable_values(before), comparable_values(now)
    return [
        Change(key, old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key not in NO_DIFFERENCE and not is_open(new.get(key))
    ]


def rejections(changes: list[Change]) -> list[Problem]:
    """Return a problem for each change that is rejected."""
    return [
        Problem(change.key, f"{change}: {change.reason}.", "incompatible")
        for change in changes
        if change.reason is not None
    ]


def lengthens(changes: list[Change]) -> bool:
    """Return whether a change may extend a training that had already finished."""
    return any(below(change.key, ENDS) for change in changes)


def comparable_values(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config by dotted key, in a form in which equal settings compare equal.

    Tuples become lists, and an empty mapping becomes None.
    """
    values = {key: as_list(value) for key, value in flatten(config)}
    return {key: None if isinstance(value, Mapping) else value for key, value in values.items()}


def as_list(value: Any) -> Any:
    return [as_list(item) for item in value] if isinstance(value, list | tuple) else value


def is_open(value: Any) -> bool:
    if isinstance(value, list):
        return any(is_open(item) for item in value)
    return isinstance(value, str) and (value == "auto" or PLACEHOLDER.search(value) is not None)


def below(key: str, parents: tuple[str, ...]) -> bool:
    return any(f"{key}.".startswith(f"{parent}.") for parent in parents)


def shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
