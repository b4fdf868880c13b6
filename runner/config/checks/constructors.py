"""Checks a config by building its cheap components once and discarding them.

Signatures define types and most ranges. Other problems (values that exclude each other, names that only a
library can look up, a missing folder) are raised by the constructors, and are thus reported before the run
starts.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from runner.config.allow_list import resolve_target
from runner.config.build import HYDRA_KEYS, build
from runner.config.facts import asked_facts
from runner.config.plain import MISSING
from runner.errors import ConfigError, UserError

__all__ = ["trial_problems"]

GLOBAL = ("deterministic", "benchmark", "detect_anomaly")
"""Arguments of Lightning's trainer that change global state of the process."""

STEPS_PER_EPOCH = 1000
"""Assumed number of steps for schedules; only very short epochs could be judged differently."""


def trial_problems(plain: dict[str, Any], wrong: Collection[str]) -> list[str]:
    """Return the problems raised by the constructors of data, optimizer, scheduler, trainer and callbacks.

    Args:
        plain: the config as plain containers.
        wrong: top-level keys that already have problems; they are not built.
    """
    valid = {
        key: node
        for key, node in plain.items()
        if key not in wrong and isinstance(node, dict) and not holds_unknown(node)
    }
    with quiet():
        problems = try_data(valid["data"]) if "data" in valid else []
        if "optimizer" in valid:
            problems += try_optimizer(valid["optimizer"])
            if "scheduler" in valid and not problems_of(lambda: make_optimizer(valid["optimizer"])):
                problems += try_scheduler(valid["scheduler"], valid["optimizer"], plain.get("trainer"))
        elif "optimizer" in wrong:
            problems += try_each_value(plain["optimizer"])
        if "model" not in wrong and isinstance(plain.get("model"), dict):
            problems += check_model(plain["model"])
        if "trainer" in valid:
            problems += try_trainer(valid["trainer"])
        parts = {key: valid[key] for key in ("checkpoint", "guard", "transfer") if key in valid}
        parts |= {f"callbacks.{key}": node for key, node in valid.get("callbacks", {}).items()}
        for place, node in parts.items():
            problems += [f"{place}: {problem}" for problem in problems_of(lambda node=node: build(node))]
    return problems


def try_data(node: dict[str, Any]) -> list[str]:
    """Builds the data module, which reads no data, and calls its ``check``."""
    reported: list[str] = []
    raised = problems_of(lambda: reported.extend(build(node).check()))
    return [f"data: {problem}" for problem in raised or reported]


def check_model(node: dict[str, Any]) -> list[str]:
    """Calls the ``check`` of the model's constructor, if it has one.

    The model itself cannot be built without facts.
    """
    check = getattr(resolve_target(node.get("_target_")), "check", None)
    if not inspect.isfunction(check):
        return []
    given = {key: node[key] for key in inspect.signature(check).parameters if key in node}
    if holds_unknown(given):
        return []
    return [f"model: {problem}" for problem in problems_of(lambda: check(**given))]


def make_optimizer(node: dict[str, Any]) -> Any:
    import torch

    return build(node)([torch.nn.Parameter(torch.zeros(1))])


def try_optimizer(node: dict[str, Any]) -> list[str]:
    problems = problems_of(lambda: make_optimizer(node))
    return [f"optimizer: {node['_target_']} rejects its values: {problem}" for problem in problems]


def try_each_value(node: Any) -> list[str]:
    """Tries each number of the optimizer separately, if other problems prevent it from being built."""
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
        epochs = 0  # the number of steps is unknown
    problems = problems_of(
        lambda: build(node)(
            make_optimizer(optimizer), total_steps=epochs * STEPS_PER_EPOCH, steps_per_epoch=STEPS_PER_EPOCH
        )
    )
    return [f"scheduler: {problem}" for problem in problems]


def try_trainer(node: dict[str, Any]) -> list[str]:
    """Builds the trainer on the CPU, without logging, checkpoints or progress bar."""
    given = {key: value for key, value in node.items() if key not in GLOBAL}
    off = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    from lightning_fabric.plugins.environments import LightningEnvironment

    # An explicit environment, because Lightning would otherwise detect that of a SLURM job.
    make = {"accelerator": "cpu", "devices": 1, "plugins": [LightningEnvironment()]}
    problems = problems_of(lambda: build(given | off | {"_partial_": True})(**make))
    return [f"trainer: {problem}" for problem in problems]


def problems_of(attempt: Callable[[], Any]) -> list[str]:
    try:
        attempt()
    except ConfigError as error:
        return error.problems
    except UserError as error:
        return [str(error)]
    except Exception as error:  # libraries reject values with arbitrary exceptions
        return [f"{error or type(error).__name__}"]
    return []


def holds_unknown(node: dict[str, Any]) -> bool:
    """Whether a value is missing, or is a fact that only the data provides."""
    values = list(node.values())
    return MISSING in [value for value in values if isinstance(value, str)] or any(
        True for _ in asked_facts(node)
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silences warnings and log messages, which are repeated when the run builds the component."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
