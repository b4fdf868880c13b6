"""Checks whether the data, task, model and loss of a config are compatible."""

from __future__ import annotations

from typing import Any

from runner.config.allow_list import resolve_target
from runner.config.composition import Composition
from runner.config.facts import UNRESOLVED, asked_facts
from runner.config.groups import Option
from runner.config.schema import LrFinder
from runner.config.task_family import suitable_tasks
from runner.errors import ConfigError
from runner.suggest import did_you_mean

__all__ = ["agreement_problems", "constructor_of", "takes"]


def agreement_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    of_task, of_inputs = task_problems(composition), input_problems(composition)
    # An incompatible task or model would cause further problems with the facts that it refers to.
    wrong = ("task", "model") if of_task else ("model",) if of_inputs else ()
    plain = {key: node for key, node in plain.items() if key not in wrong}
    return [
        *of_task,
        *of_inputs,
        *loss_problems(plain),
        *fact_problems(plain),
        *range_problems(plain.get("lr_finder")),
    ]


def range_problems(finder: Any) -> list[str]:
    """Checks that ``lr_finder.max_lr`` is greater than ``lr_finder.min_lr``."""
    default = LrFinder()
    low, high = ((finder or {}).get(key, getattr(default, key)) for key in ("min_lr", "max_lr"))
    if not isinstance(low, int | float) or not isinstance(high, int | float) or high > low:
        return []
    return [f"lr_finder.max_lr={high:g}: expected more than lr_finder.min_lr={low:g}."]


def task_problems(composition: Composition) -> list[str]:
    """Checks that the chosen data and model options support the task."""
    task, names = composition.choices.get("task"), suitable_tasks(composition)
    problems = []
    for group in ("data", "model"):
        option = composition.option(group)
        if not task or option is None or not option.tasks or set(names) & set(option.tasks):
            continue
        options = composition.groups[group].items()
        suitable = [name for name, other in options if set(names) & set(other.tasks)]
        problems.append(
            f"{group}={option.name} is for {', '.join(option.tasks)}, but the task is {task}. "
            f"Available for {task}: {group}={', '.join(suitable) or 'nothing'}."
        )
    return problems


def input_problems(composition: Composition) -> list[str]:
    """Checks that the model accepts the kind of input that the data provides."""
    data, model = composition.option("data"), composition.option("model")
    if data is None or model is None or takes(model, data):
        return []
    names = set(suitable_tasks(composition))
    models = composition.groups["model"].items()
    suitable = [
        name for name, other in models if takes(other, data) and (not other.tasks or names & set(other.tasks))
    ]
    return [
        f"model={model.name} takes inputs of the kind {' or '.join(model.inputs)}, but data={data.name} "
        "provides "
        f"{' and '.join(data.inputs)}. Suitable: model={', '.join(suitable) or 'nothing'}."
    ]


def takes(model: Option, data: Option) -> bool:
    """Whether a model option accepts the inputs of a data option.

    Token ids do not count as ``any`` numeric input.
    """
    if not model.inputs or not data.inputs:
        return True
    given = {*data.inputs} if "tokens" in data.inputs else {"any", *data.inputs}
    return bool(given & set(model.inputs)) or ("any" in data.inputs and "tokens" not in model.inputs)


def loss_problems(plain: dict[str, Any]) -> list[str]:
    """Checks that the task supports the loss."""
    task = plain.get("task")
    loss = task.get("loss") if isinstance(task, dict) else None
    kind, owner = constructor_of(loss), constructor_of(task)
    refused = getattr(owner, "rejected_losses", ())
    if not isinstance(kind, type) or not refused or not issubclass(kind, refused):
        return []
    return [f"task.loss: {owner.__name__} cannot use {kind.__name__}, a loss for another kind of target."]


def fact_problems(plain: dict[str, Any]) -> list[str]:
    """Checks that the data provides every fact that the config refers to, if its class declares them."""
    known = getattr(constructor_of(plain.get("data")), "fact_names", None)
    names = known() if callable(known) else None
    problems = []
    for place, fact in asked_facts(plain):
        if fact == UNRESOLVED:
            continue
        if place.partition(".")[0] == "data":
            problems.append(f"{place}: ${{facts:{fact}}} comes from the data itself; give a value here.")
        elif names is not None and fact not in names:
            problems.append(
                f"{place}: ${{facts:{fact}}}: data={plain['data']['_target_']} does not provide {fact!r}. "
                f"{did_you_mean(fact, names)}"
            )
    return problems


def constructor_of(node: Any) -> Any:
    """Return the constructor of a node, or None if it is invalid, which another check reports."""
    if not isinstance(node, dict):
        return None
    try:
        return resolve_target(node.get("_target_"))
    except ConfigError:
        return None
