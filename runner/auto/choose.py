"""Applies the rules to a composition and composes it again with the chosen values."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from runner.auto.rules import RULES, Choice
from runner.auto.situation import Situation
from runner.auto.starting_weights import starting_weights_line
from runner.config.checks.check import check_config
from runner.config.composition import Composition
from runner.config.overrides import spell
from runner.errors import RunnerError, UserError
from runner.training.components import make_data, resolve

__all__ = ["choose_automatically", "is_enabled"]

log = logging.getLogger(__name__)

Compose = Callable[[Sequence[str]], Composition]
"""Composes a config with overrides that the user's own take precedence over."""


def is_enabled(composition: Composition) -> bool:
    """Return whether the rules apply: unless an experiment file or the config of a run is given."""
    auto = composition.config.get("auto")
    if auto is None and (composition.config.get("debug") or {}).get("kind"):
        return False  # a debug preset examines the config as it is written
    if auto is None:
        return not (composition.resolved or composition.from_file)
    return bool(auto) and not composition.resolved


def choose_automatically(composition: Composition, compose: Compose) -> Composition:
    """Return the composition with values chosen for the settings that the user left open.

    The choices and their reasons are in ``automatic`` and ``notes``. A composition with problems is returned
    unchanged, as is one whose data cannot be read: the worker reports the reason.

    Args:
        composition: the config as composed from the user's overrides.
        compose: composes it again with additional overrides.
    """
    if not is_enabled(composition) or composition.problems:
        return composition
    try:
        situation = Situation.of(composition, set_up(composition))
    except (RunnerError, UserError) as error:
        log.debug("no automatic choices: %s", error)
        return composition
    choices = apply_rules(situation)
    if not choices:
        return composition
    chosen = composed_with(choices, composition, compose)
    if chosen is not composition:
        values = {choice.key: choice.value for choice in choices}
        chosen.notes += filter(None, [starting_weights_line(replace(situation, chosen=values))])
    return chosen


def set_up(composition: Composition) -> Any:
    """Return the data module of a composition, set up without messages."""
    data = make_data(resolve(composition.config, None) | {"folds": None})
    data.prepare_data()
    with quiet():
        data.setup("fit")
    return data


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress log messages: the worker sets up the same data again and logs them."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)


def apply_rules(situation: Situation) -> list[Choice]:
    """Return the choices of all rules, each key once."""
    choices: dict[str, Choice] = {}
    for rule in RULES:
        made = list(rule(situation))
        choices |= {choice.key: choice for choice in made}
        chosen = {choice.key: choice.value for choice in made}
        situation = replace(situation, chosen=situation.chosen | chosen)
    return list(choices.values())


def composed_with(choices: list[Choice], composition: Composition, compose: Compose) -> Composition:
    """Return the composition with the choices; the given one if the result has problems."""
    overrides = [f"{choice.key}={spell(choice.value)}" for choice in choices]
    chosen = compose(overrides)
    chosen.explicit = composition.explicit
    chosen.chosen_groups = composition.chosen_groups
    problems = [*chosen.problems, *check_config(chosen)]
    if problems:
        log.warning("no automatic choices: %s", problems[0])
        return composition
    chosen.automatic = {choice.key: {"value": choice.value, "reason": choice.reason} for choice in choices}
    lines = [f"  {override}: {choice.reason}" for override, choice in zip(overrides, choices, strict=True)]
    chosen.notes += ["chosen automatically (auto=false disables this):", *lines]
    return chosen
