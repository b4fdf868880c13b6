"""The metric that selects the best checkpoint: ``task.monitor``, or that of the task."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, Literal, cast

from runner.config.allow_list import constructor_of, resolve_target
from runner.config.checks.context import CheckContext
from runner.errors import ConfigError, Problem
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

STEP_LOSS, EPOCH_LOSS = "train/loss", "train/epoch_loss"


def monitor_of(config: dict[str, Any]) -> tuple[str, Mode]:
    """Return the monitored metric, and whether a lower or a higher value of it is better.

    Args:
        config: the config as plain containers.

    Raises:
        ConfigError: ``task.monitor`` is a metric whose mode is unknown, and ``task.monitor_mode`` is not
            given.
    """
    node = config["task"]
    constructor = resolve_target(node["_target_"])
    name = node.get("monitor")
    if name is None:
        default: tuple[str, Mode] = cast(Any, constructor).default_monitor(config.get("data") or {})
        return default
    mode = node.get("monitor_mode") or extra_mode(node, name) or mode_of(constructor, name)
    if mode is None:
        raise ConfigError(missing_mode("task.monitor", name, "task.monitor_mode"))
    return name, mode


def scheduler_node(config: dict[str, Any]) -> dict[str, Any] | None:
    """Return the scheduler's node with its metric and mode filled in.

    They default to those of ``task.monitor``.

    Args:
        config: the config as plain containers.

    Raises:
        ConfigError: the mode of the metric is unknown.
    """
    node: dict[str, Any] | None = config.get("scheduler")
    if not isinstance(node, dict) or "monitor" not in node:
        return node
    if node["monitor"] is None:
        if config["task"].get("monitor") is None:
            return node | {"monitor": "val/loss", "mode": node.get("mode") or "min"}
        name, mode = monitor_of(config)
        return node | {"monitor": name, "mode": node.get("mode") or mode}
    task = config["task"]
    given = node.get("mode") or extra_mode(task, node["monitor"])
    given = given or mode_of(resolve_target(task["_target_"]), node["monitor"])
    if given is None:
        raise ConfigError(missing_mode("scheduler.monitor", node["monitor"], "scheduler.mode"))
    return node | {"mode": given}


def mode_of(constructor: Callable[..., Any] | None, name: str) -> Mode | None:
    """Return whether a lower or a higher value of a metric is better.

    Args:
        constructor: the class of the task.
        name: the metric with its split: ``val/accuracy``.

    Returns:
        The mode; None if neither the task nor the name defines it.
    """
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
    constructor = constructor_of(node)
    higher = None if constructor is None else higher_is_better(constructor)
    return None if higher is None else "max" if higher else "min"


def higher_is_better(metric: Callable[..., Any]) -> bool | None:
    """Return the attribute of a torchmetrics class.

    ``CohenKappa`` and the like only create a ``BinaryCohenKappa`` or ``MulticlassCohenKappa`` (torchmetrics
    1.9), whose attribute counts.
    """
    own: bool | None = getattr(metric, "higher_is_better", None)
    if own is not None or not inspect.isclass(metric):
        return own
    module = vars(sys.modules[metric.__module__])
    variants = [
        kind for name, kind in module.items() if name.endswith(metric.__name__) and inspect.isclass(kind)
    ]
    values = {getattr(kind, "higher_is_better", None) for kind in variants} - {None}
    return values.pop() if len(values) == 1 else None


def metric_name_problems(constructor: Callable[..., Any], task: dict[str, Any]) -> list[Problem]:
    """Return a problem for each name in ``task.metrics`` that the task itself uses."""
    metrics = task.get("metrics")
    taken = {name.removesuffix("/*") for name in declared(constructor, "val")}
    label = constructor.__name__
    return [
        Problem(
            f"task.metrics.{name}",
            f"task.metrics.{name}: {label} already logs val/{name}.",
            "duplicate",
            "Choose another name.",
        )
        for name in (metrics if isinstance(metrics, dict) else ())
        if name in taken
    ]


def declared(constructor: Callable[..., Any] | None, split: str) -> dict[str, Mode]:
    """Return metric → mode for a split, as far as the task's class declares them."""
    return getattr(constructor, {"val": "metric_modes", "train": "train_metric_modes"}.get(split, ""), {})


def monitor_problems(context: CheckContext) -> list[Problem]:
    """Checks the monitored metrics of task and scheduler, as far as possible without data."""
    constructor = constructor_of(context.plain.get("task"))
    if constructor is None or context.is_invalid("task"):
        return []  # reported where the node itself is checked
    task, scheduler = context.node("task"), context.node("scheduler")
    problems = metric_name_problems(constructor, task)
    name, mode = task.get("monitor"), task.get("monitor_mode")
    if name is None and mode is not None:
        text = f"task.monitor_mode={mode} would have no effect without task.monitor."
        problems.append(Problem("task.monitor_mode", text, "no_effect", "Give both, or remove it."))
    if isinstance(name, str):
        mode = mode or extra_mode(task, name)
        problems += name_problems(constructor, "task.monitor", name, mode, "task.monitor_mode", task)
    name = scheduler.get("monitor")
    if isinstance(name, str):
        mode = scheduler.get("mode") or extra_mode(task, name)
        problems += name_problems(constructor, "scheduler.monitor", name, mode, "scheduler.mode", task)
    return problems


def name_problems(
    constructor: Callable[..., Any], key: str, name: str, mode: Any, mode_key: str, task: dict[str, Any]
) -> list[Problem]:
    """Checks that the task logs a metric, and that its mode is defined.

    Args:
        constructor: the class of the task.
        key: the key that names the metric.
        name: the metric.
        mode: the value of ``mode_key``.
        mode_key: the key that gives the metric's mode.
        task: the ``task`` node, whose ``metrics`` are logged too.
    """
    extra = [f"val/{metric}" for metric in task.get("metrics") or {}]
    valid = [*valid_names(constructor), *extra, *(f"{metric}/*" for metric in extra)]
    split, _, metric = name.partition("/")
    if split not in ("val", "train") or not metric:
        text = f"{key}={name}: expected a metric of the validation or training split."
        return [Problem(key, text, "invalid_value", did_you_mean(name, valid))]
    if name == STEP_LOSS and EPOCH_LOSS in valid:
        text = f"{key}={name}: this is logged for single steps; expected a metric with one value per epoch."
        return [Problem(key, text, "unknown_option", f"Use {key}={EPOCH_LOSS}, its mean over the epoch.")]
    # A subclass that does not declare its own metrics may log others than its base class.
    if "metric_modes" in vars(constructor) and not matches(name, valid):
        text = f"{key}={name}: {constructor.__name__} does not log it during training."
        return [Problem(key, text, "unknown_option", did_you_mean(name, valid))]
    if mode is None and mode_of(constructor, name) is None:
        return [missing_mode(key, name, mode_key)]
    return []


def valid_names(constructor: Callable[..., Any]) -> list[str]:
    return [f"{split}/{metric}" for split in ("val", "train") for metric in declared(constructor, split)]


def matches(name: str, valid: Iterable[str]) -> bool:
    """Return whether a metric is valid; ``val/r2/*`` stands for ``val/r2/NAME`` with any NAME."""
    return any(
        name == known or (known.endswith("/*") and name.startswith(known[:-1]) and name != known[:-1])
        for known in valid
    )


def missing_mode(key: str, name: str, mode_key: str) -> Problem:
    text = f"{key}={name}: whether a lower or a higher value is better is unknown."
    return Problem(mode_key, text, "missing", f"Add {mode_key}=min or {mode_key}=max.")


def unknown_metric(key: str, name: str, logged: Iterable[str]) -> Problem:
    """Return the problem of a monitored metric that the first validation did not log."""
    logged = sorted(logged)
    text = f"{key}={name}: the first validation did not log this metric."
    hint = f"{did_you_mean(name, logged)} Logged: {', '.join(logged) or 'none'}."
    return Problem(key, text, "unknown_option", hint)
