"""What constructors say themselves: the cheap parts of a config are built once, and thrown away.

Signatures tell types and most ranges. The rest (values that exclude each other, names that only a library
knows, a missing folder) is told by the constructors, long before a run would get there.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from runner.config.build import HYDRA_KEYS, build
from runner.config.facts import asked_facts
from runner.config.resolve import MISSING
from runner.config.target import resolve_target
from runner.errors import ConfigError, UserError

__all__ = ["trial_problems"]

GLOBAL = ("deterministic", "benchmark", "detect_anomaly")
"""Arguments with which Lightning's trainer changes the whole process."""

STEPS_PER_EPOCH = 1000
"""A guess, for schedules; nothing but very short epochs would be judged differently."""


def trial_problems(plain: dict[str, Any], wrong: Collection[str]) -> list[str]:
    """What the constructors of data, optimizer, scheduler, trainer and callbacks refuse.

    Args:
        wrong: top-level keys in which something was found already.
    """
    sound = {
        key: node
        for key, node in plain.items()
        if key not in wrong and isinstance(node, dict) and not holds_unsaid(node)
    }
    with quiet():
        problems = try_data(sound["data"]) if "data" in sound else []
        if "optimizer" in sound:
            problems += try_optimizer(sound["optimizer"])
            if "scheduler" in sound and not problems_of(lambda: make_optimizer(sound["optimizer"])):
                problems += try_scheduler(sound["scheduler"], sound["optimizer"], plain.get("trainer"))
        elif "optimizer" in wrong:
            problems += try_each_value(plain["optimizer"])
        if "model" not in wrong and isinstance(plain.get("model"), dict):
            problems += check_model(plain["model"])
        if "trainer" in sound:
            problems += try_trainer(sound["trainer"])
        parts = {key: sound[key] for key in ("checkpoint", "guard", "transfer") if key in sound}
        parts |= {f"callbacks.{key}": node for key, node in sound.get("callbacks", {}).items()}
        for place, node in parts.items():
            problems += [f"{place}: {problem}" for problem in problems_of(lambda node=node: build(node))]
    return problems


def try_data(node: dict[str, Any]) -> list[str]:
    """A data module reads nothing when it is built, and can tell what is missing."""
    found: list[str] = []
    refused = problems_of(lambda: found.extend(build(node).check()))
    return [f"data: {problem}" for problem in refused or found]


def check_model(node: dict[str, Any]) -> list[str]:
    """Facts are missing to build it. But the function that builds it may carry a ``check`` of its arguments."""
    check = getattr(resolve_target(node.get("_target_")), "check", None)
    if not inspect.isfunction(check):
        return []
    given = {key: node[key] for key in inspect.signature(check).parameters if key in node}
    if holds_unsaid(given):
        return []
    return [f"model: {problem}" for problem in problems_of(lambda: check(**given))]


def make_optimizer(node: dict[str, Any]) -> Any:
    import torch

    return build(node)([torch.nn.Parameter(torch.zeros(1))])


def try_optimizer(node: dict[str, Any]) -> list[str]:
    problems = problems_of(lambda: make_optimizer(node))
    return [f"optimizer: {node['_target_']} refuses its values: {problem}" for problem in problems]


def try_each_value(node: Any) -> list[str]:
    """Its numbers alone, where other mistakes keep the optimizer from being built."""
    if not isinstance(node, dict) or problems_of(
        lambda: build({"_target_": node.get("_target_"), "_partial_": True})
    ):
        return []
    numbers = {key: value for key, value in node.items() if isinstance(value, int | float)}
    problems = []
    for key, value in numbers.items():
        if key not in HYDRA_KEYS:
            alone = {"_target_": node["_target_"], "_partial_": True, key: value}
            problems += [problem for problem in try_optimizer(alone) if "Invalid" in problem]
    return problems


def try_scheduler(node: dict[str, Any], optimizer: dict[str, Any], trainer: Any) -> list[str]:
    given = trainer if isinstance(trainer, dict) else {}
    epochs, is_timed = given.get("max_epochs"), given.get("max_time") is not None
    if not isinstance(epochs, int) or epochs < 1:
        if not is_timed or given.get("max_steps") not in (None, -1):
            return []
        epochs = 0  # nobody knows how many steps there will be
    problems = problems_of(
        lambda: build(node)(
            make_optimizer(optimizer), total_steps=epochs * STEPS_PER_EPOCH, steps_per_epoch=STEPS_PER_EPOCH
        )
    )
    return [f"scheduler: {problem}" for problem in problems]


def try_trainer(node: dict[str, Any]) -> list[str]:
    """On the processor, with nothing that writes or draws."""
    given = {key: value for key, value in node.items() if key not in GLOBAL}
    off = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    from lightning_fabric.plugins.environments import LightningEnvironment

    make = {"accelerator": "cpu", "devices": 1, "plugins": [LightningEnvironment()]}  # whatever a scheduler has set
    problems = problems_of(lambda: build(given | off | {"_partial_": True})(**make))
    return [f"trainer: {problem}" for problem in problems]


def problems_of(attempt: Callable[[], Any]) -> list[str]:
    try:
        attempt()
    except ConfigError as error:
        return error.problems
    except UserError as error:
        return [str(error)]
    except Exception as error:  # libraries refuse values with errors of every kind
        return [f"{error or type(error).__name__}"]
    return []


def holds_unsaid(node: dict[str, Any]) -> bool:
    """Whether a value is missing, or only the data will tell it."""
    values = list(node.values())
    return MISSING in [value for value in values if isinstance(value, str)] or any(
        True for _ in asked_facts(node)
    )


@contextmanager
def quiet() -> Iterator[None]:
    """What libraries remark while a part is tried would come again when it is built in earnest."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
