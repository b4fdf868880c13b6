"""All mistakes of a composed config at once, before any data is read or a device is touched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runner.config.build import build, find_targets, resolve_target
from runner.config.compose import Composition, dotted_keys
from runner.config.plain import MISSING, interpolated_keys, to_plain
from runner.config.schema import Config
from runner.config.values import check_arguments, holds_unknown
from runner.errors import ConfigError, UserError

__all__ = ["check", "find_problems"]

SUPPLIED = {
    "task": {"model", "optimizer", "scheduler"},
    "optimizer": {"params"},
    "scheduler": {"optimizer", "total_steps", "steps_per_epoch"},
}
"""Parameters that runner gives to the constructor of a node."""

RESERVED = {
    "logger": "tracking", "callbacks": "callbacks", "accelerator": "hardware.accelerator",
    "devices": "hardware.devices", "precision": "hardware.precision", "strategy": "hardware",
    "num_nodes": "hardware", "default_root_dir": "run.root", "enable_checkpointing": "checkpoint",
    "plugins": "hardware", "fast_dev_run": "debug=one_batch", "overfit_batches": "debug=overfit",
    "use_distributed_sampler": "hardware", "enable_progress_bar": "callbacks",
}  # fmt: skip
"""Trainer arguments that belong to another node."""

PRESET_ONLY = ("dropout", "weight_decay", "label_smoothing", "augment")


def check(composition: Composition) -> None:
    """Raises what is wrong with a composition.

    Raises:
        ConfigError: with every problem found.
    """
    problems = find_problems(composition)
    if problems:
        raise ConfigError(problems)


def find_problems(composition: Composition) -> list[str]:
    """One sentence a mistake, each once."""
    problems = list(composition.problems)
    plain = to_plain(composition.config, problems)
    everywhere = dotted_keys(composition.config)
    problems += check_arguments(Config, plain, "", everywhere=everywhere)
    broken = check_targets(plain, everywhere, problems)
    problems += check_trainer(plain)
    problems += check_task(composition)
    problems += check_loss(plain)
    problems += check_effects(composition, plain)
    problems += check_hardware(plain)
    problems += check_files(plain)
    if not isinstance(plain.get("optimizer"), dict) or resolvable(plain["optimizer"]):
        problems += check_optimizer(plain, whole="optimizer" not in broken)
    if not any(place.startswith("data") for place in broken):
        problems += check_data(plain)
    return list(dict.fromkeys(problems))


def check_targets(plain: dict[str, Any], everywhere: list[str], problems: list[str]) -> set[str]:
    """Checks every node with a constructor; tells the places of those that are wrong."""
    broken = set()
    for place, node in find_targets(plain):
        try:
            constructor = resolve_target(node["_target_"])
        except ConfigError as error:
            problems += [f"{place}: {problem}" for problem in error.problems]
            broken.add(place)
            continue
        found = check_arguments(constructor, node, place, SUPPLIED.get(place, set()), everywhere)
        if found:
            broken.add(place)
        problems += found
    return broken


def resolvable(node: dict[str, Any]) -> bool:
    try:
        resolve_target(node.get("_target_"))
    except ConfigError:
        return False
    return True


def check_trainer(plain: dict[str, Any]) -> list[str]:
    trainer = plain.get("trainer") or {}
    problems = [
        f"trainer.{key}: runner sets it; use {instead} instead."
        for key, instead in RESERVED.items()
        if key in trainer and trainer[key] is not None
    ]
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps")
    for key, value in (("max_epochs", epochs), ("max_steps", steps)):
        if isinstance(value, int) and (value == 0 or value < -1):
            problems.append(f"trainer.{key}={value}: expected a number above 0.")
    if epochs == -1 and steps in (None, -1) and not trainer.get("max_time"):
        problems.append("trainer.max_epochs=-1 never ends: give trainer.max_steps or trainer.max_time too.")
    return problems


def check_task(composition: Composition) -> list[str]:
    """Whether the model's option says that it does the task."""
    choices, groups = composition.choices, composition.groups
    task, model = choices.get("task"), choices.get("model")
    if not task or not model:
        return []
    option = groups.get("model", {}).get(model)
    if option is None or not option.tasks or task in option.tasks:
        return []
    able = sorted(name for name, other in groups["model"].items() if task in other.tasks)
    return [
        f"model={model} does {', '.join(option.tasks)}, but data={choices.get('data')} asks for {task}. "
        f"Models for {task}: {', '.join(able) or 'none'}."
    ]


def check_loss(plain: dict[str, Any]) -> list[str]:
    """Whether the task takes the loss."""
    task = plain.get("task")
    loss = task.get("loss") if isinstance(task, dict) else None
    if not isinstance(loss, dict):
        return []
    try:
        refused = getattr(resolve_target(task.get("_target_")), "refused_losses", ())
        kind = resolve_target(loss.get("_target_"))
    except ConfigError:
        return []
    if isinstance(kind, type) and refused and issubclass(kind, refused):
        name = task["_target_"].rpartition(".")[2]
        return [f"task.loss: {name} cannot use {kind.__name__}; it is a loss for another kind of target."]
    return []


def check_effects(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """An option the user set and that nothing reads would be a lie."""
    used = interpolated_keys(composition.config)
    choices = composition.choices
    problems = []
    regularization = plain.get("regularization") or {}
    for key in PRESET_ONLY:
        place = f"regularization.{key}"
        if place in composition.explicit and regularization.get(key) and place not in used:
            problems.append(
                f"{place}={regularization[key]} would have no effect: none of model={choices.get('model')}, "
                f"data={choices.get('data')}, task={choices.get('task')}, "
                f"optimizer={choices.get('optimizer')} uses it. Remove it."
            )
    if plain.get("pretrained") and "pretrained" not in used and choices:
        problems.append(
            f"pretrained=true would have no effect: model={choices.get('model')} has no pretrained weights. "
            "Remove it, or choose a model that has them (resnet34, mobilenet_v2, timm …)."
        )
    if plain.get("pretrained") and plain.get("weights"):
        problems.append("pretrained=true and weights=FILE are two starts for one model; give one of them.")
    return problems


def check_hardware(plain: dict[str, Any]) -> list[str]:
    wanted = (plain.get("hardware") or {}).get("accelerator")
    if wanted not in ("gpu", "mps"):
        return []
    import torch

    if wanted == "gpu" and not torch.cuda.is_available():
        return ["hardware=gpu, but PyTorch sees no CUDA device here. Use hardware=auto or hardware=cpu."]
    if wanted == "mps" and not torch.backends.mps.is_available():
        return ["hardware=mps, but PyTorch sees no Apple GPU here. Use hardware=auto or hardware=cpu."]
    return []


def check_files(plain: dict[str, Any]) -> list[str]:
    weights = plain.get("weights")
    problems = []
    if isinstance(weights, str) and not Path(weights).is_file():
        problems.append(f"weights={weights}: there is no such file. Give a .safetensors or .pt file.")
    root = Path(str((plain.get("run") or {}).get("root") or "runs"))
    existing = next((folder for folder in (root, *root.absolute().parents) if folder.exists()), Path("/"))
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        problems.append(f"run.root={root}: {existing} is not a folder that can be written. Name another folder.")
    return problems


def check_optimizer(plain: dict[str, Any], whole: bool) -> list[str]:
    """Lets the optimizer judge its own numbers, on a parameter of one element.

    Args:
        whole: its arguments are valid names of the right types; else each is tried alone.
    """
    node = plain.get("optimizer")
    if not isinstance(node, dict) or "_target_" not in node:
        return []
    head = {key: value for key, value in node.items() if key in ("_target_", "_partial_", "_convert_")}
    values = {key: value for key, value in node.items() if key not in head and not holds_unknown(value)}
    tries = [values] if whole else [{key: value} for key, value in values.items()]
    problems = []
    for arguments in tries:
        problem = refusal(head | arguments)
        if problem and (whole or "Invalid" in problem):
            problems.append(f"optimizer: {node['_target_']} refuses its values: {problem}.")
    return problems


def refusal(node: dict[str, Any]) -> str | None:
    import torch

    try:
        build(node)([torch.nn.Parameter(torch.zeros(1))])
    except (UserError, ValueError, TypeError, RuntimeError) as error:
        return str(error)
    return None


def check_data(plain: dict[str, Any]) -> list[str]:
    node = plain.get("data")
    if not isinstance(node, dict) or "_target_" not in node or MISSING in node.values():
        return []
    try:
        data = build(node)
        return [f"data: {problem}" for problem in data.check()]
    except ConfigError as error:
        return [f"data: {problem}" for problem in error.problems]
    except UserError as error:
        return [f"data: {error}"]
