"""The metric that picks the best checkpoint: ``task.monitor`` and ``task.monitor_mode``, or the task's
own.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal

from runner.config.allow_list import resolve_target
from runner.errors import ConfigError
from runner.suggest import did_you_mean

__all__ = ["mode_of", "monitor_of", "monitor_problems", "scheduler_node", "unknown_metric"]

Mode = Literal["min", "max"]

LOWER = {"loss", "error", "mse", "rmse", "mae", "mape", "nll", "perplexity", "bits", "wer", "cer"}
HIGHER = {
    "accuracy",
    "precision",
    "recall",
    "specificity",
    "f1",
    "auroc",
    "auc",
    "ap",
    "map",
    "mar",
    "iou",
    "dice",
    "bleu",
    "r2",
    "skill",
    "match",
}
"""Words in a metric's name that indicate whether a lower or a higher value is better."""


def monitor_of(config: dict[str, Any]) -> tuple[str, Mode]:
    """The monitored metric and whether a lower or a higher value of it is better, as far as the config
    defines them.

    Raises:
        ConfigError: ``task.monitor`` is a metric whose mode is unknown, and ``task.monitor_mode`` is not
            given.
    """
    node = config["task"]
    constructor = resolve_target(node["_target_"])
    name = node.get("monitor")
    if name is None:
        return constructor.default_monitor(config.get("data") or {})
    mode = node.get("monitor_mode") or extra_mode(node, name) or mode_of(constructor, name)
    if mode is None:
        raise ConfigError([mode_missing("task.monitor", name, "task.monitor_mode")])
    return name, mode


def scheduler_node(config: dict[str, Any]) -> dict[str, Any] | None:
    """Return the scheduler's node with its metric and mode filled in; they default to those of
    ``task.monitor``.
    """
    node = config.get("scheduler")
    if not isinstance(node, dict) or "monitor" not in node:
        return node
    if node["monitor"] is None:
        if config["task"].get("monitor") is None:
            return node | {"monitor": "val/loss", "mode": node.get("mode") or "min"}
        name, mode = monitor_of(config)
        return node | {"monitor": name, "mode": node.get("mode") or mode}
    task = config["task"]
    mode = node.get("mode") or extra_mode(task, node["monitor"])
    mode = mode or mode_of(resolve_target(task["_target_"]), node["monitor"])
    if mode is None:
        raise ConfigError([mode_missing("scheduler.monitor", node["monitor"], "scheduler.mode")])
    return node | {"mode": mode}


def mode_of(constructor: Callable[..., Any] | None, name: str) -> Mode | None:
    """Whether a lower or a higher value of a metric is better; None if neither task nor name defines it."""
    split, _, metric = name.partition("/")
    known = declared(constructor, split)
    if metric in known:
        return known[metric]
    words = set(re.split(r"[^a-z0-9]+", metric.partition("/")[0].lower()))
    lower, higher = bool(words & LOWER), bool(words & HIGHER)
    if lower == higher:
        return None
    return "min" if lower else "max"


def extra_mode(task: dict[str, Any], name: str) -> Mode | None:
    """Return the mode of a metric of ``task.metrics``; None if it is another metric or its class has none."""
    split, _, metric = name.partition("/")
    node = (task.get("metrics") or {}).get(metric.partition("/")[0]) if split == "val" else None
    if not isinstance(node, dict):
        return None
    try:
        constructor = resolve_target(node.get("_target_"))
    except ConfigError:  # reported by the check of the node
        return None
    higher = higher_is_better(constructor)
    return None if higher is None else "max" if higher else "min"


def higher_is_better(metric: Any) -> bool | None:
    """Return the attribute of a torchmetrics class.

    ``CohenKappa`` and the like only create a ``BinaryCohenKappa`` or ``MulticlassCohenKappa`` (torchmetrics
    1.9), whose attribute counts.
    """
    own = getattr(metric, "higher_is_better", None)
    if own is not None or not inspect.isclass(metric):
        return own
    module = vars(sys.modules[metric.__module__])
    variants = [
        kind for name, kind in module.items() if name.endswith(metric.__name__) and inspect.isclass(kind)
    ]
    values = {getattr(kind, "higher_is_better", None) for kind in variants} - {None}
    return values.pop() if len(values) == 1 else None


def metric_name_problems(constructor: Callable[..., Any], task: dict[str, Any]) -> list[str]:
    """Return a message for each name in ``task.metrics`` that the task itself uses."""
    metrics = task.get("metrics")
    taken = {name.removesuffix("/*") for name in declared(constructor, "val")}
    return [
        f"task.metrics.{name}: {constructor.__name__} already logs val/{name}. Choose another name."
        for name in (metrics if isinstance(metrics, dict) else ())
        if name in taken
    ]


def declared(constructor: Callable[..., Any] | None, split: str) -> dict[str, Mode]:
    """The metrics of a split that a task declares."""
    return getattr(constructor, {"val": "metric_modes", "train": "train_metric_modes"}.get(split, ""), {})


def monitor_problems(plain: dict[str, Any]) -> list[str]:
    """Problems with ``task.monitor``, ``task.monitor_mode`` and ``scheduler.monitor`` that can be found
    without data.
    """
    task, scheduler = plain.get("task"), plain.get("scheduler")
    if not isinstance(task, dict):
        return []
    try:
        constructor = resolve_target(task.get("_target_"))
    except ConfigError:
        return []  # reported where the node itself is checked
    problems = metric_name_problems(constructor, task)
    name, mode = task.get("monitor"), task.get("monitor_mode")
    if name is None and mode is not None:
        problems.append(
            f"task.monitor_mode={mode} would have no effect without task.monitor. Give both, or remove it."
        )
    if isinstance(name, str):
        mode = mode or extra_mode(task, name)
        problems += name_problems(constructor, "task.monitor", name, mode, "task.monitor_mode", task)
    if isinstance(scheduler, dict) and isinstance(name := scheduler.get("monitor"), str):
        mode = scheduler.get("mode") or extra_mode(task, name)
        problems += name_problems(constructor, "scheduler.monitor", name, mode, "scheduler.mode", task)
    return problems


def name_problems(
    constructor: Callable[..., Any], key: str, name: str, mode: Any, mode_key: str, task: dict[str, Any]
) -> list[str]:
    extra = [f"val/{metric}" for metric in task.get("metrics") or {}]
    valid = [*valid_names(constructor), *extra, *(f"{metric}/*" for metric in extra)]
    split, _, metric = name.partition("/")
    if split not in ("val", "train") or not metric:
        return [
            f"{key}={name}: expected a metric of the validation or training split. "
            f"{did_you_mean(name, valid)}"
        ]
    # A subclass that does not declare its own metrics may log others than its base class.
    if "metric_modes" in vars(constructor) and not matches(name, valid):
        return [
            f"{key}={name}: {constructor.__name__} does not log it during training. "
            f"{did_you_mean(name, valid)}"
        ]
    if mode is None and mode_of(constructor, name) is None:
        return [mode_missing(key, name, mode_key)]
    return []


def valid_names(constructor: Callable[..., Any]) -> list[str]:
    return [f"{split}/{metric}" for split in ("val", "train") for metric in declared(constructor, split)]


def matches(name: str, valid: Iterable[str]) -> bool:
    """``val/r2/*`` stands for ``val/r2/NAME`` with any NAME."""
    return any(
        name == known or (known.endswith("/*") and name.startswith(known[:-1]) and name != known[:-1])
        for known in valid
    )


def mode_missing(key: str, name: str, mode_key: str) -> str:
    return (
        f"{key}={name}: whether a lower or a higher value is better is unknown. Add {mode_key}=min or "
        f"{mode_key}=max."
    )


def unknown_metric(key: str, name: str, logged: Iterable[str]) -> str:
    """The message for a monitored metric that the first validation did not log."""
    logged = sorted(logged)
    return (
        f"{key}={name}: the first validation did not log this metric. {did_you_mean(name, logged)} "
        f"Logged: {', '.join(logged) or 'none'}."
    )
