"""Builds data module, model and task from a resolved config, for training and inference."""

from __future__ import annotations

import inspect
from typing import Any

from omegaconf import DictConfig
from torch import nn

from runner.config.build import build, resolve_target
from runner.config.facts import facts_known
from runner.config.monitor import monitor_of, scheduler_node
from runner.config.plain import to_plain
from runner.data.base import DataModule
from runner.data.facts import Facts
from runner.data.folds import Folds
from runner.errors import ConfigError, Problem
from runner.tasks.base import Task

__all__ = ["adapt_facts", "make_data", "make_model", "make_task", "resolve", "task_class"]


CONFIGURED = ("monitor", "monitor_mode", "metrics")
"""Keys of the task's node that are arguments of ``Task.configure``."""


def make_data(config: dict[str, Any]) -> DataModule:
    """Builds the data module, without reading data.

    Raises:
        ConfigError: the node builds something else, or folds are configured without an index.
    """
    data = build(config["data"])
    if not isinstance(data, DataModule):
        text = (
            f"data: {config['data']['_target_']} gives a {type(data).__name__}; expected a "
            "runner.data.base.DataModule."
        )
        raise ConfigError(Problem("data", text, "wrong_type"))
    if config.get("folds"):
        data.take_folds(fold_of(config["folds"]))
    return data


def fold_of(node: dict[str, Any]) -> Folds:
    """Returns the fold of a run.

    Raises:
        ConfigError: the node refers to all folds where a single one is needed.
    """
    if node.get("index") is None:
        text = "folds: this is for one run, and folds are several."
        remedy = "Select one with folds.index, or remove folds."
        raise ConfigError(Problem("folds.index", text, "missing", remedy))
    return Folds(**node)


def adapt_facts(config: dict[str, Any], facts: Facts) -> Facts:
    """Returns the facts as the task uses them.

    Args:
        config: the config as plain containers.
        facts: the facts of the data.

    Raises:
        DataError: the data do not suit the task.
    """
    return task_class(config).adapt_facts(facts)


def task_class(config: dict[str, Any]) -> type[Task]:
    """Returns the class of the task.

    Raises:
        ConfigError: ``_target_`` refers to something else.
    """
    constructor = resolve_target(config["task"]["_target_"])
    if not inspect.isclass(constructor) or not issubclass(constructor, Task):
        text = f"task: {config['task']['_target_']} is not a subclass of runner.tasks.base.Task."
        raise ConfigError(Problem("task._target_", text, "wrong_type"))
    return constructor


def resolve(config: DictConfig, facts: Any) -> dict[str, Any]:
    """Returns the config as plain containers, with every ``${facts:KEY}`` replaced by its value.

    Args:
        config: the composed config.
        facts: the facts of the data; None leaves placeholders.

    Raises:
        ConfigError: an interpolation cannot be resolved.
    """
    problems: list[Problem] = []
    with facts_known(facts):
        plain = to_plain(config, problems)
    if problems:
        raise ConfigError(problems)
    return plain


def make_model(config: dict[str, Any]) -> nn.Module:
    """Builds the model.

    Raises:
        ConfigError: the node builds something else.
    """
    model = build(config["model"])
    if not isinstance(model, nn.Module):
        text = (
            f"model: {config['model'].get('_target_')} gives a {type(model).__name__}; expected a "
            "torch.nn.Module."
        )
        raise ConfigError(Problem("model", text, "wrong_type"))
    return model


def make_task(config: dict[str, Any], model: nn.Module) -> Task:
    """Builds the task of a model, with optimizer and scheduler as factories."""
    node = {key: value for key, value in config["task"].items() if key not in CONFIGURED}
    factory = build({**node, "_partial_": True})
    scheduler = build(scheduler_node(config))
    task: Task = factory(model=model, optimizer=build(config["optimizer"]), scheduler=scheduler)
    if config["task"].get("monitor") is not None:
        task.configure(*monitor_of(config))
    task.configure(metrics=build(config["task"].get("metrics")))
    return task
