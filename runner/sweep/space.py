"""The search space of a sweep: converts Hydra's sweep grammar to Optuna's distributions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from runner.config.overrides import parse_override
from runner.errors import Problem

__all__ = ["Distribution", "Parameter", "Space", "is_sweep", "parse_parameter"]

Distribution = CategoricalDistribution | IntDistribution | FloatDistribution


@dataclass(frozen=True)
class Parameter:
    """One key that a sweep varies.

    Attributes:
        key: the key of an override, such as ``optimizer.lr``, or a group, such as ``model``.
        text: the values in Hydra's grammar, as written by the user.
        distribution: the values as an Optuna distribution.
        words: for a choice, the spelling of each value in an override; empty for a range.
        needs: conditions on other parameters: key → the values (as words) with which this parameter exists.
    """

    key: str
    text: str
    distribution: Distribution
    words: tuple[str, ...] = ()
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def word(self, value: Any) -> str:
        """Return the spelling of a value in an override."""
        if isinstance(self.distribution, CategoricalDistribution):
            return self.words[self.distribution.choices.index(value)]
        return repr(value)

    def values(self) -> list[Any] | None:
        """Return all values; None for a continuous range."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return list(kind.choices)
        if isinstance(kind, IntDistribution):
            return list(range(kind.low, kind.high + 1, kind.step))
        if kind.step is None:
            return None
        return [kind.low + i * kind.step for i in range(round((kind.high - kind.low) / kind.step) + 1)]

    def nearest(self, value: Any) -> Any:
        """Return the value of the space that is closest to a value that may lie outside."""
        kind = self.distribution
        if isinstance(kind, CategoricalDistribution):
            return self._nearest_choice(kind.choices, value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return kind.low
        value = min(max(value, kind.low), kind.high)
        if kind.step is not None:
            value = kind.low + round((value - kind.low) / kind.step) * kind.step
        return round(value) if isinstance(kind, IntDistribution) else float(value)

    def _nearest_choice(self, choices: Sequence[Any], value: Any) -> Any:
        plain = [plain_value(word) for word in self.words]
        if value in plain:
            return choices[plain.index(value)]
        if isinstance(value, int | float) and all(isinstance(c, int | float) for c in choices):
            return min(choices, key=lambda choice: abs(choice - value))
        return choices[0]

    def contains(self, value: Any) -> bool:
        """Return whether the space contains a value of a config."""
        if isinstance(self.distribution, CategoricalDistribution):
            return value in [plain_value(word) for word in self.words]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.distribution._contains(value)


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep.

    Attributes:
        parameters: in order; a conditional parameter follows the one that it depends on.
    """

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: Any) -> dict[str, Any]:
        """Suggest a value for each active parameter; repeated calls with one trial return the same values."""
        values: dict[str, Any] = {}
        for parameter in self.active(values):
            values[parameter.key] = suggest(trial, parameter)
        return values

    def active(self, values: Mapping[str, Any]) -> Iterator[Parameter]:
        """Yield the parameters whose conditions are met by ``values``, which the caller may extend."""
        named = {parameter.key: parameter for parameter in self.parameters}
        for parameter in self.parameters:
            if all(
                other in values and named[other].word(values[other]) in words
                for other, words in parameter.needs.items()
            ):
                yield parameter

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """Return ``key=value`` for each parameter that has a value."""
        return [f"{p.key}={p.word(values[p.key])}" for p in self.parameters if p.key in values]

    def point(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the point of the space nearest to values of a config; missing keys take any value."""
        values: dict[str, Any] = {}
        for parameter in self.active(values):
            values[parameter.key] = parameter.nearest(wanted.get(parameter.key))
        return values

    def grid(self) -> list[dict[str, Any]]:
        """Return every point once; the last parameter varies fastest."""
        points: dict[tuple[Any, ...], dict[str, Any]] = {}
        all_values = [parameter.values() or [] for parameter in self.parameters]
        for combination in itertools.product(*all_values):
            given = dict(zip([p.key for p in self.parameters], combination, strict=True))
            values: dict[str, Any] = {}
            for parameter in self.active(values):
                values[parameter.key] = given[parameter.key]
            points.setdefault(tuple(values.items()), values)
        return list(points.values())

    def continuous_keys(self) -> list[str]:
        """Return the keys with a continuous range."""
        return [parameter.key for parameter in self.parameters if parameter.values() is None]

    def as_dict(self) -> dict[str, str]:
        """Return key → values in Hydra's grammar."""
        return {parameter.key: parameter.text for parameter in self.parameters}


def suggest(trial: Any, parameter: Parameter) -> Any:
    key, kind = parameter.key, parameter.distribution
    if isinstance(kind, CategoricalDistribution):
        return trial.suggest_categorical(key, kind.choices)
    if isinstance(kind, IntDistribution):
        return trial.suggest_int(key, kind.low, kind.high, step=kind.step, log=kind.log)
    return trial.suggest_float(key, kind.low, kind.high, step=kind.step, log=kind.log)


def is_sweep(text: str) -> bool:
    """Return whether an override gives several values."""
    try:
        return parse_override(text).is_sweep_override()
    except HydraException:
        return False


def plain_value(word: str) -> Any:
    """Return the value of an override's word, as in a config."""
    return OverridesParser.create().parse_override(f"key={word}").value()


def parse_parameter(
    key: str, text: str, problems: list[Problem], needs: Mapping[str, Iterable[str]] | None = None
) -> Parameter | None:
    """Parse a key and its values in Hydra's sweep grammar.

    Args:
        key: the key of the parameter.
        text: its values, such as ``interval(1e-4, 1e-1)``.
        problems: receives a problem if the values cannot be parsed.
        needs: conditions; see `Parameter`.

    Returns:
        The parameter; None if the values cannot be parsed.
    """
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
        problems.append(Problem(key, f"{line} has a single value.", "invalid_value", expected))
        return None
    try:
        distribution, words = distribution_of(override)
    except ValueError as error:
        problems.append(Problem(key, f"{line}: {error}.", "invalid_value"))
        return None
    frozen = {other: frozenset(values) for other, values in (needs or {}).items()}
    return Parameter(key, text, distribution, words, frozen)


def distribution_of(override: Override) -> tuple[Distribution, tuple[str, ...]]:
    """Return Optuna's distribution, and the spelling of each value of a choice.

    Raises:
        ValueError: the values are not a valid space.
    """
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep) and override.is_choice_sweep():
        return choice_of(override)
    if isinstance(sweep, RangeSweep):
        return range_of(sweep), ()
    if isinstance(sweep, IntervalSweep):
        return interval_of(sweep), ()
    raise ValueError("glob(…) is not supported; list the options: choice(a, b)")


def choice_of(override: Override) -> tuple[CategoricalDistribution, tuple[str, ...]]:
    words = tuple(dict.fromkeys(override.sweep_string_iterator()))
    values = [plain_value(word) for word in words]
    plain = all(isinstance(value, bool | int | float | None) for value in values)
    # Lists are passed to Optuna as text, because the storages of Optuna 5.0 accept plain values only.
    return CategoricalDistribution(values if plain and len(set(values)) == len(values) else words), words


def range_of(sweep: RangeSweep) -> IntDistribution | FloatDistribution:
    start, stop, step = sweep.start or 0, sweep.stop, sweep.step
    if stop is None or step <= 0 or stop <= start:
        raise ValueError("expected range(start, stop, step) with start below stop and step above 0")
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return IntDistribution(start, range(start, stop, step)[-1], step=step)
    count = max(1, -int(-(stop - start) / step // 1))  # as everywhere in Hydra, the stop is excluded
    return FloatDistribution(start, start + (count - 1) * step, step=step)


def interval_of(sweep: IntervalSweep) -> IntDistribution | FloatDistribution:
    low, high, log = sweep.start, sweep.end, "log" in sweep.tags
    if low is None or high is None or low >= high:
        raise ValueError("expected interval(low, high) with low below high")
    if log and low <= 0:
        raise ValueError(f"the lower end of a logarithmic interval must be above 0, got {low}")
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)
