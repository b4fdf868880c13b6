"""Checks whether the data, task, model and loss of a config are compatible."""

from __future__ import annotations

from typing import Any

from runner.config.allow_list import constructor_of
from runner.config.checks.context import CheckContext
from runner.config.composition import Composition
from runner.config.facts import UNRESOLVED, referenced_facts
from runner.config.groups import Option
from runner.config.schema import LrFinder
from runner.config.task_family import suitable_tasks
from runner.errors import Problem
from runner.suggest import did_you_mean

__all__ = ["compatibility_problems", "lr_range_problems", "takes"]


def compatibility_problems(context: CheckContext) -> list[Problem]:
    """Checks that data, task, model and loss suit each other."""
    of_task, of_inputs = task_problems(context.composition), input_problems(context.composition)
    # An incompatible task or model would cause further problems with the facts that it refers to.
    skipped = ("task", "model") if of_task else ("model",) if of_inputs else ()
    plain = {key: node for key, node in context.plain.items() if key not in skipped}
    return [*of_task, *of_inputs, *loss_problems(plain), *fact_problems(plain)]


def lr_range_problems(context: CheckContext) -> list[Problem]:
    """Checks that ``lr_finder.max_lr`` is greater than ``lr_finder.min_lr``."""
    finder, default = context.node("lr_finder"), LrFinder()
    low, high = (finder.get(name, getattr(default, name)) for name in ("min_lr", "max_lr"))
    if not isinstance(low, int | float) or not isinstance(high, int | float) or high > low:
        return []
    text = f"lr_finder.max_lr={high:g}: expected more than lr_finder.min_lr={low:g}."
    return [Problem("lr_finder.max_lr", text, "out_of_bounds")]


def task_problems(composition: Composition) -> list[Problem]:
    """Checks that the chosen data and model options support the task."""
    task, names = composition.choices.get("task"), suitable_tasks(composition)
    problems = []
    for group in ("data", "model"):
        option = composition.option(group)
        if not task or option is None or not option.tasks or set(names) & set(option.tasks):
            continue
        options = composition.groups[group].items()
        suitable = [name for name, other in options if set(names) & set(other.tasks)]
        text = f"{group}={option.name} is for {', '.join(option.tasks)}, but the task is {task}."
        remedy = f"Available for {task}: {group}={', '.join(suitable) or 'nothing'}."
        problems.append(Problem(group, text, "incompatible", remedy))
    return problems


def input_problems(composition: Composition) -> list[Problem]:
    """Checks that the model accepts the kind of input that the data provides."""
    data, model = composition.option("data"), composition.option("model")
    if data is None or model is None or takes(model, data):
        return []
    names = set(suitable_tasks(composition))
    suitable = [
        name
        for name, other in composition.groups["model"].items()
        if takes(other, data) and (not other.tasks or names & set(other.tasks))
    ]
    text = (
        f"model={model.name} takes inputs of the kind {' or '.join(model.inputs)}, but data={data.name} "
        f"provides {' and '.join(data.inputs)}."
    )
    return [Problem("model", text, "incompatible", f"Suitable: model={', '.join(suitable) or 'nothing'}.")]


def takes(model: Option, data: Option) -> bool:
    """Return whether a model option accepts the inputs of a data option.

    Token ids do not count as ``any`` numeric input.
    """
    if not model.inputs or not data.inputs:
        return True
    provided = {*data.inputs} if "tokens" in data.inputs else {"any", *data.inputs}
    return bool(provided & set(model.inputs)) or ("any" in data.inputs and "tokens" not in model.inputs)


def loss_problems(plain: dict[str, Any]) -> list[Problem]:
    """Checks that the task supports the loss."""
    task = plain.get("task")
    loss = task.get("loss") if isinstance(task, dict) else None
    loss_class, task_class = constructor_of(loss), constructor_of(task)
    rejected = getattr(task_class, "rejected_losses", ())
    if not isinstance(loss_class, type) or not rejected or not issubclass(loss_class, rejected):
        return []
    owner = getattr(task_class, "__name__", "the task")
    text = f"task.loss: {owner} cannot use {loss_class.__name__}, a loss for another kind of target."
    return [Problem("task.loss", text, "incompatible")]


def fact_problems(plain: dict[str, Any]) -> list[Problem]:
    """Checks that the data provides every fact that the config refers to, if its class declares them."""
    declared = getattr(constructor_of(plain.get("data")), "fact_names", None)
    names = declared() if callable(declared) else None
    problems = []
    for key, fact in referenced_facts(plain):
        if fact == UNRESOLVED:
            continue
        reference = f"{key}: ${{facts:{fact}}}"
        if key.partition(".")[0] == "data":
            text = f"{reference} comes from the data itself; give a value here."
            problems.append(Problem(key, text, "unresolved"))
        elif names is not None and fact not in names:
            text = f"{reference}: data={plain['data']['_target_']} does not provide {fact!r}."
            problems.append(Problem(key, text, "unresolved", did_you_mean(fact, names)))
    return problems
