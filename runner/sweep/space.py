"""The space of a sweep: Hydra's sweep grammar on one side, Optuna's distributions on the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from runner.config.overrides import parse_override
from runner.errors import Problem

__all__ = ["Parameter", "Space", "is_sweep", "parse_parameter"]


@dataclass(frozen=True)
class Parameter:
    """One key that a sweep varies.

    Attributes:
        key: as an override names it: ``optimizer.lr``, or a group: ``model``.
        text: the values, as they were written.
        words: of a choice: how an override spells each value; empty for numbers of a range.
        needs: other key → its values (as words) with which this key is there at all; empty: always.
    """

    key: str
    text: str
    distribution: BaseDistribution
    words: tuple[str, ...] = ()
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def word(self, value: Any) -> str:
        """How an override spells a value."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.words[self.distribution.choices.index(value)]
        return repr(value)

    def values(self) -> list[Any] | None:
        """All there are; None where they are endless."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return list(kind.choices)
        if isinstance(kind, IntDistribution):
            return list(range(kind.low, kind.high + 1, kind.step))
        if kind.step is None:
            return None
        return [kind.low + i * kind.step for i in range(round((kind.high - kind.low) / kind.step) + 1)]

    def nearest(self, value: Any) -> Any:
        """The value of the space that is closest to one that may lie outside."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return self._choice(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return kind.low
        value = min(max(value, kind.low), kind.high)
        if kind.step is not None:
            value = kind.low + round((value - kind.low) / kind.step) * kind.step
        return round(value) if isinstance(kind, IntDistribution) else float(value)

    def _choice(self, value: Any) -> Any:
        choices = self.distribution.choices
        plain = [plain_value(word) for word in self.words]
        if value in plain:
            return choices[plain.index(value)]
        if isinstance(value, int | float) and all(isinstance(c, int | float) for c in choices):
            return min(choices, key=lambda choice: abs(choice - value))
        return choices[0]

    def contains(self, value: Any) -> bool:
        """Whether a plain value, as a config holds it, lies in the space."""
        if isinstance(self.distribution, CategoricalDistribution):
            return value in [plain_value(word) for word in self.words]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.distribution._contains(value)


@dataclass(frozen=True)
class Space:
    """The parameters; a conditional one comes after the one it depends on."""

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Asks an Optuna trial for each parameter that is there; asking the same trial again gives the
        same.
        """
        values: dict[str, Any] = {}
        for parameter in self.active(values):
            values[parameter.key] = suggest(trial, parameter)
        return values

    def active(self, values: Mapping[str, Any]) -> Iterator[Parameter]:
        """The parameters that are there, as far as ``values`` (which may grow meanwhile) decide."""
        named = {parameter.key: parameter for parameter in self.parameters}
        for parameter in self.parameters:
            if all(
                other in values and named[other].word(values[other]) in words
                for other, words in parameter.needs.items()
            ):
                yield parameter

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """``key=value`` for each parameter that has a value."""
        return [f"{p.key}={p.word(values[p.key])}" for p in self.parameters if p.key in values]

    def point(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The point of the space nearest to plain values of a config; keys it lacks take any value."""
        values: dict[str, Any] = {}
        for parameter in self.active(values):
            values[parameter.key] = parameter.nearest(wanted.get(parameter.key))
        return values

    def grid(self) -> list[dict[str, Any]]:
        """Every point, each once, the last parameter turning fastest."""
        points: dict[tuple, dict[str, Any]] = {}
        all_values = [parameter.values() or [] for parameter in self.parameters]
        for combination in itertools.product(*all_values):
            given = dict(zip([p.key for p in self.parameters], combination, strict=True))
            values: dict[str, Any] = {}
            for parameter in self.active(values):
                values[parameter.key] = given[parameter.key]
            points.setdefault(tuple(values.items()), values)
        return list(points.values())

    def endless(self) -> list[str]:
        """Keys whose values cannot be counted."""
        return [parameter.key for parameter in self.parameters if parameter.values() is None]

    def as_dict(self) -> dict[str, str]:
        return {parameter.key: parameter.text for parameter in self.parameters}


def suggest(trial: Any, parameter: Parameter) -> Any:
    key, kind = parameter.key, parameter.distribution
    if isinstance(kind, CategoricalDistribution):
        return trial.suggest_categorical(key, kind.choices)
    if isinstance(kind, IntDistribution):
        return trial.suggest_int(key, kind.low, kind.high, step=kind.step, log=kind.log)
    return trial.suggest_float(key, kind.low, kind.high, step=kind.step, log=kind.log)


def is_sweep(text: str) -> bool:
    """Whether an override gives several values."""
    try:
        return parse_override(text).is_sweep_override()
    except HydraException:
        return False


def plain_value(word: str) -> Any:
    """What an override's value is, as a config holds it."""
    return OverridesParser.create().parse_override(f"key={word}").value()


def parse_parameter(
    key: str, text: str, problems: list[Problem], needs: Mapping[str, Iterable[str]] | None = None
) -> Parameter | None:
    """Parses values in Hydra's sweep grammar; adds to ``problems`` and returns None if they are invalid."""
    line = f"{key}={text}"
    try:
        override = OverridesParser.create().parse_override(line)
    except HydraException as error:
        reason = f"{line!r} is not an override: {str(error).strip().splitlines()[0]}."
        problems.append(Problem(key, reason, "unreadable"))
        return None
    if not override.is_sweep_override():
        expected = (
            "Expected choice(a, b), range(start, stop), interval(low, high) or tag(log, interval(low, high))."
        )
        problems.append(Problem(key, f"{line}: one value is nothing to search.", "invalid_value", expected))
        return None
    try:
        distribution, words = distribution_of(override)
    except ValueError as error:
        problems.append(Problem(key, f"{line}: {error}.", "invalid_value"))
        return None
    frozen = {other: frozenset(values) for other, values in (needs or {}).items()}
    return Parameter(key, text, distribution, words, frozen)


def distribution_of(override: Override) -> tuple[BaseDistribution, tuple[str, ...]]:
    """Optuna's distribution, and how the values of a choice are spelled.

    Raises:
        ValueError: the values make no space.
    """
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep) and override.is_choice_sweep():
        return choice_of(override)
    if isinstance(sweep, RangeSweep):
        return range_of(sweep), ()
    if isinstance(sweep, IntervalSweep):
        return interval_of(sweep), ()
    raise ValueError("glob(…) is not known here; name the options: choice(a, b)")


def choice_of(override: Override) -> tuple[CategoricalDistribution, tuple[str, ...]]:
    words = tuple(dict.fromkeys(override.sweep_string_iterator()))
    values = [plain_value(word) for word in words]
    plain = all(isinstance(value, bool | int | float | None) for value in values)
    # Lists are passed to Optuna as text: its storages (5.0) keep plain values only.
    return CategoricalDistribution(values if plain and len(set(values)) == len(values) else words), words


def range_of(sweep: RangeSweep) -> BaseDistribution:
    start, stop, step = sweep.start or 0, sweep.stop, sweep.step
    if stop is None or step <= 0 or stop <= start:
        raise ValueError("expected range(start, stop, step) with start below stop and step above 0")
    if all(isinstance(number, int) for number in (start, stop, step)):
        return IntDistribution(start, range(start, stop, step)[-1], step=step)
    count = max(1, -int(-(stop - start) / step // 1))  # the stop itself is left out, as everywhere in Hydra
    return FloatDistribution(start, start + (count - 1) * step, step=step)


def interval_of(sweep: IntervalSweep) -> BaseDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None or low >= high:
        raise ValueError("expected interval(low, high) with low below high")
    if log and low <= 0:
        raise ValueError(f"on a logarithmic scale the low end has to be above 0, got {low}")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)
