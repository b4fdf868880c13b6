"""Checks a config by building its cheap components once and discarding them.

Signatures define types and most ranges. Other problems (values that exclude each other, names that only a
library can look up, a missing folder) are raised by the constructors, and are thus reported before the run
starts.
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from runner.config.allow_list import resolve_target
from runner.config.build import HYDRA_KEYS, build
from runner.config.checks.context import CheckContext
from runner.config.checks.values import is_number
from runner.config.facts import referenced_facts
from runner.config.plain import MISSING
from runner.errors import ConfigError, Problem, UserError

__all__ = ["constructor_problems", "data_constructor_problems"]

GLOBAL = ("deterministic", "benchmark", "detect_anomaly")
"""Arguments of Lightning's trainer that change global state of the process."""

STEPS_PER_EPOCH = 1000
"""Assumed number of steps for schedules; only very short epochs could be judged differently."""


def constructor_problems(context: CheckContext) -> list[Problem]:
    """Return the problems raised by the constructors of data, optimizer, scheduler, trainer and callbacks.

    A node that already has problems is not built.
    """
    with silenced():
        return [
            *data_constructor_problems(context),
            *optimizer_problems(context),
            *model_problems(context),
            *trainer_problems(context),
            *callback_problems(context),
        ]


def buildable(context: CheckContext, name: str) -> dict[str, Any] | None:
    """Return a node that is valid and complete, or None."""
    node = context.plain.get(name)
    if not isinstance(node, dict) or holds_unknown(node) or not context.is_reliable(name):
        return None
    return node


def data_constructor_problems(context: CheckContext) -> list[Problem]:
    """Builds the data module, which reads no data, and calls its ``check``."""
    node = buildable(context, "data")
    if node is None:
        return []
    reported: list[Problem] = []

    def attempt() -> None:
        reported.extend(Problem("", text, "rejected") for text in build(node).check())

    with silenced():
        raised = problems_of(attempt)
    return [problem.within("data") for problem in raised or reported]


def model_problems(context: CheckContext) -> list[Problem]:
    """Calls the ``check`` of the model's constructor, if it has one.

    The model itself cannot be built without facts.
    """
    node = context.plain.get("model")
    if not isinstance(node, dict) or not context.is_reliable("model"):
        return []
    check = getattr(resolve_target(node.get("_target_")), "check", None)
    if not inspect.isfunction(check):
        return []
    arguments = {name: node[name] for name in inspect.signature(check).parameters if name in node}
    if holds_unknown(arguments):
        return []
    return [problem.within("model") for problem in problems_of(lambda: check(**arguments))]


def make_optimizer(node: dict[str, Any]) -> Any:
    import torch

    return build(node)([torch.nn.Parameter(torch.zeros(1))])


def optimizer_problems(context: CheckContext) -> list[Problem]:
    """Builds the optimizer and, with it, the schedule."""
    node = context.plain.get("optimizer")
    if not isinstance(node, dict):
        return []
    if not context.is_reliable("optimizer"):
        return optimizer_value_problems(node, context)
    if holds_unknown(node):
        return []
    problems = [rejected_values(node, problem) for problem in problems_of(lambda: make_optimizer(node))]
    scheduler = buildable(context, "scheduler")
    if scheduler is None or problems:
        return problems
    return scheduler_problems(scheduler, node, context.node("trainer"))


def rejected_values(node: dict[str, Any], problem: Problem, name: str = "") -> Problem:
    text = f"{node['_target_']} rejects its values: {problem.message}"
    return Problem(name, text, problem.kind, problem.suggestion).within("optimizer")


def optimizer_value_problems(node: dict[str, Any], context: CheckContext) -> list[Problem]:
    """Tries each valid number of an optimizer separately, because another problem prevents building it."""
    alone = {"_target_": node.get("_target_"), "_partial_": True}
    if problems_of(lambda: build(alone)):
        return []
    problems: list[Problem] = []
    for name, value in node.items():
        if name in HYDRA_KEYS or not is_number(value) or not context.is_reliable(f"optimizer.{name}"):
            continue
        try:
            make_optimizer(alone | {name: value})
        except ValueError as error:  # torch's optimizers raise it for a value outside its bounds
            problems.append(rejected_values(node, Problem("", str(error), "rejected"), name))
        except Exception:
            continue  # the constructor requires further arguments
    return problems


def scheduler_problems(
    node: dict[str, Any], optimizer: dict[str, Any], trainer: dict[str, Any]
) -> list[Problem]:
    epochs, is_timed = trainer.get("max_epochs"), trainer.get("max_time") is not None
    if not isinstance(epochs, int) or epochs < 1:
        if not is_timed or trainer.get("max_steps") not in (None, -1):
            return []
        epochs = 0  # the number of steps is unknown
    steps = {"total_steps": epochs * STEPS_PER_EPOCH, "steps_per_epoch": STEPS_PER_EPOCH}
    problems = problems_of(lambda: build(node)(make_optimizer(optimizer), **steps))
    return [problem.within("scheduler") for problem in problems]


def trainer_problems(context: CheckContext) -> list[Problem]:
    """Builds the trainer on the CPU, without logging, checkpoints or progress bar."""
    node = buildable(context, "trainer")
    if node is None:
        return []
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment

    disabled = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    arguments = {key: value for key, value in node.items() if key not in GLOBAL}
    arguments |= dict.fromkeys(disabled, False) | {"_partial_": True}
    # An explicit environment, because Lightning would otherwise detect that of a SLURM job.
    device = {"accelerator": "cpu", "devices": 1, "plugins": [LightningEnvironment()]}
    return [problem.within("trainer") for problem in problems_of(lambda: build(arguments)(**device))]


def callback_problems(context: CheckContext) -> list[Problem]:
    """Builds the callbacks, and the nodes that are callbacks too."""
    nodes: dict[str, Any] = {name: buildable(context, name) for name in ("checkpoint", "guard", "transfer")}
    nodes |= {f"callbacks.{name}": node for name, node in (buildable(context, "callbacks") or {}).items()}
    return [
        problem.within(key)
        for key, node in nodes.items()
        if node is not None
        for problem in problems_of(partial(build, node))
    ]


def problems_of(attempt: Callable[[], Any]) -> list[Problem]:
    """Return the problems that a call raises as errors."""
    try:
        attempt()
    except ConfigError as error:
        return list(error.problems)
    except UserError as error:
        return [Problem("", str(error), "rejected")]
    except Exception as error:  # libraries reject values with arbitrary exceptions
        return [Problem("", f"{error or type(error).__name__}", "rejected")]
    return []


def holds_unknown(node: dict[str, Any]) -> bool:
    """Return whether a value is missing, or is a fact that only the data provides."""
    values = list(node.values())
    is_missing = MISSING in [value for value in values if isinstance(value, str)]
    return is_missing or any(True for _ in referenced_facts(node))


@contextmanager
def silenced() -> Iterator[None]:
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
