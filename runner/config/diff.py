"""What of a config may change while a run is under way, and what would make its result meaningless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.config.facts import PLACEHOLDER

__all__ = ["Change", "find_changes", "lengthens", "refusals"]

FREE = (
    "run", "resume", "plots", "report", "tracking", "launcher", "hardware.accelerator", "hardware.devices", "hardware.num_nodes",
    "hardware.strategy", "hardware.num_threads", "checkpoint", "guard", "sweep", "data.num_workers",
    "data.eval_batch_size", "data.root", "data.path", "data.cache", "data.download", "trainer.log_every_n_steps",
    "trainer.profiler", "trainer.limit_test_batches", "trainer.check_val_every_n_epoch",
)  # fmt: skip
"""Where and how a run is carried out: its numbers stay what they would have been."""
ENDS = ("trainer.max_epochs", "trainer.max_steps", "trainer.max_time", "regularization.early_stopping")
ACTING = (
    *ENDS, "trainer.min_epochs", "trainer.min_steps", "trainer.gradient_clip_val", "trainer.gradient_clip_algorithm",
    "hardware", "optimizer",
)  # fmt: skip
"""These change the training from here on, and still make sense."""
REFUSED = {
    "optimizer._target_": "the optimizer's state in the checkpoint is that of the old one",
    "optimizer._partial_": "runner needs it as it is",
    "model": "the weights in the checkpoint are those of the old model",
    "pretrained": "it tells how the model started, and it has",
    "weights": "it tells how the model started, and it has",
    "task": "the metrics before and after would not be those of one problem",
    "data": "the samples, their order or their targets would be others than those trained on so far",
    "seed": "order and augmentation are drawn from it: samples would be seen twice and others not at all",
    "scheduler": "the schedule is under way",
    "transfer": "what trains, and how, was settled at the start",
    "regularization": "its values were handed on to model, data and optimizer at the start",
    "callbacks": "the state they keep in the checkpoint is that of the old ones",
    "debug": "a run that tries something out is another run",
    "trainer": "a step, an epoch or a metric would be something else than before",
}
"""Else: the first entry that fits tells why not."""
NO_DIFFERENCE = ("run.root", "run.name", "resume")


@dataclass(frozen=True)
class Change:
    """
    Attributes:
        before, now: None where the key is absent.
    """

    key: str
    before: Any
    now: Any

    @property
    def acts(self) -> bool:
        """Whether the training goes another way from here on."""
        return not below(self.key, FREE)

    def __str__(self) -> str:
        told = f"{self.key}: {shown(self.before)} → {shown(self.now)}"
        return f"{told} (acts from here on)" if self.acts and self.reason is None else told

    @property
    def reason(self) -> str | None:
        """Why it is refused; None when it is not."""
        if self.key.startswith("optimizer._"):
            return REFUSED.get(self.key, "it is not a setting")
        if below(self.key, FREE) or below(self.key, ACTING):
            return None
        known = (reason for place, reason in REFUSED.items() if below(self.key, (place,)))
        return next(known, "the run before it and the run after it would not be one")


def find_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Every key whose value differs. What only the data will tell, and ``auto``, may have become anything."""
    old, new = flat(before), flat(now)
    return [
        Change(key, old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key not in NO_DIFFERENCE and not is_open(new.get(key))
    ]


def refusals(changes: list[Change]) -> list[str]:
    """One sentence for each that would make the result meaningless."""
    return [f"{change}: {change.reason}." for change in changes if change.reason is not None]


def lengthens(changes: list[Change]) -> bool:
    """Whether a training that had come to its end may have more to do."""
    return any(below(change.key, ENDS) for change in changes)


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, Mapping) or not config:
        return {prefix: None if isinstance(config, Mapping) else as_list(config)} if prefix else {}
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}.{key}".lstrip("."))
    return found


def as_list(value: Any) -> Any:
    return [as_list(item) for item in value] if isinstance(value, list | tuple) else value


def is_open(value: Any) -> bool:
    if isinstance(value, list):
        return any(is_open(item) for item in value)
    return isinstance(value, str) and (value == "auto" or PLACEHOLDER.search(value) is not None)


def below(key: str, places: tuple[str, ...]) -> bool:
    return any(f"{key}.".startswith(f"{place}.") for place in places)


def shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
