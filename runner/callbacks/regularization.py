"""Creates the callbacks configured in the config group ``regularization``."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, callbacks

from runner.callbacks.batch_mix import BatchMix
from runner.callbacks.noise import InputNoise, WeightNoise
from runner.callbacks.weight_average import WeightAverage
from runner.callbacks.weight_penalties import L1Penalty, MaxNorm
from runner.tasks.base import Task

__all__ = ["EarlyStopping", "averaging_callbacks", "clipping", "early_stopping", "regularizing_callbacks"]


def regularizing_callbacks(options: dict[str, Any], task: Any, seed: int) -> list[Callback]:
    """Create the callbacks that modify training steps.

    Args:
        options: the config node ``regularization``.
        task: the task; MixUp and CutMix only apply if its ``mixes`` is set.
        seed: seed of the random draws.
    """
    callbacks: list[Callback] = []
    mixup, cutmix = options.get("mixup") or 0.0, options.get("cutmix") or 0.0
    if (mixup or cutmix) and getattr(task, "mixes", False):
        callbacks.append(
            BatchMix(mixup, cutmix, options.get("mix_epochs"), len(task.class_names), task.one_logit, seed)
        )
    if options.get("input_noise"):
        callbacks.append(InputNoise(options["input_noise"], seed))
    if options.get("weight_noise"):
        callbacks.append(WeightNoise(options["weight_noise"], seed))
    if options.get("l1"):
        callbacks.append(L1Penalty(options["l1"]))
    if options.get("max_norm"):
        callbacks.append(MaxNorm(options["max_norm"]))
    return callbacks


def averaging_callbacks(options: dict[str, Any], seed: int) -> list[Callback]:
    """Create the callbacks that average the weights; they run after all callbacks that change them."""
    ema, swa = options.get("ema"), options.get("swa")
    return [WeightAverage(ema, swa, seed)] if ema or swa is not None else []


def clipping(options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of Lightning's trainer for gradient clipping."""
    for key, algorithm in (("clip_norm", "norm"), ("clip_value", "value")):
        if options.get(key):
            return {"gradient_clip_val": options[key], "gradient_clip_algorithm": algorithm}
    return {}


class EarlyStopping(callbacks.EarlyStopping):
    """Early stopping that keeps the configured patience when resumed.

    Lightning 2.6 restores the patience from the checkpoint along with the number of validations waited, so a
    patience changed in the config would be ignored.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})


def early_stopping(task: Task, settings: dict[str, Any]) -> EarlyStopping:
    """Create early stopping by the task's monitored metric.

    A validation without the metric is skipped; ``MonitorCheck`` rejects metrics that are never logged.

    Args:
        task: the task.
        settings: arguments of Lightning's callback.
    """
    at_epoch_end = {"check_on_train_epoch_end": True} if task.monitor.startswith("train/") else {}
    return EarlyStopping(monitor=task.monitor, mode=task.mode, **{"strict": False} | at_epoch_end | settings)
