"""The request for a sweep: settings, space, and the config that all trials share."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import CategoricalDistribution

from runner.config.checks.check import check_config
from runner.config.compose import Composition, compose
from runner.config.monitor import monitor_of
from runner.config.overrides import apply_value, parse_overrides
from runner.config.plain import to_plain
from runner.config.replaced import drop_replaced_arguments
from runner.config.schema import Sweep
from runner.config.trust import GUARDED_KEYS
from runner.errors import ConfigError, Problem
from runner.sweep.settings import read_settings
from runner.sweep.space import Parameter, Space, is_sweep, parse_parameter

__all__ = ["Request", "make_request"]


@dataclass
class Request:
    """A checked request for a sweep.

    Attributes:
        settings: the ``sweep`` node.
        objectives: metric → ``min`` or ``max``; by default the task's monitored metric.
        space: the search space.
        fixed: overrides that all trials share.
        experiment: path of the experiment's file, if any.
        config_dirs: additional folders with config groups.
        base: the composed config that all trials share; it is the default configuration.
    """

    settings: Sweep
    objectives: dict[str, str]
    space: Space
    fixed: list[str]
    experiment: str | None
    config_dirs: list[str]
    base: Composition

    def __post_init__(self) -> None:
        self._composed: dict[tuple[str, ...], Composition] = {}

    def compose(self, overrides: list[str]) -> Composition:
        """Return the config of a trial.

        Hydra composes once for each combination of options; other overrides are applied to a copy.
        """
        groups = self.base.groups
        choices = tuple(line for line in overrides if line.partition("=")[0] in groups)
        if choices not in self._composed:
            composition = compose([*self.fixed, *choices], self.experiment, self.config_dirs)
            composition.config.pop("sweep", None)
            self._composed[choices] = composition
        cached = self._composed[choices]
        composition = replace(
            cached,
            config=copy.deepcopy(cached.config),
            explicit=set(cached.explicit),
            notes=list(cached.notes),
            problems=list(cached.problems),
        )
        for override in parse_overrides([o for o in overrides if o not in choices], composition.problems):
            problem = apply_value(override, composition.config)
            composition.problems += [problem] if problem else []
            composition.explicit.add(override.key_or_group)
        drop_replaced_arguments(composition)
        return composition

    def default_point(self) -> tuple[dict[str, Any], list[str]]:
        """Return the point nearest to the default configuration, and descriptions of differences from it."""
        return self.point_at({})

    def point_at(self, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the point of the space nearest to the default configuration, with some keys given.

        Args:
            given: values of some keys.

        Returns:
            The point, and a description of each value that the space does not contain.
        """
        choices = [
            f"{p.key}={given[p.key]}" for p in self.space.parameters if p.key in given and self.is_group(p)
        ]
        composition = self.compose(choices)
        wanted = {p.key: given.get(p.key, self.value_in(composition, p)) for p in self.space.parameters}
        point = self.space.point(wanted)
        moved = [
            f"{p.key}={p.word(point[p.key])} instead of {wanted[p.key]}"
            for p in self.space.parameters
            if p.key in point and not p.contains(wanted[p.key])
        ]
        return point, moved

    def is_group(self, parameter: Parameter) -> bool:
        """Return whether the parameter selects an option of a group."""
        return parameter.key in self.base.groups

    def value_in(self, composition: Composition, parameter: Parameter) -> Any:
        """Return the value of a parameter in a config; None if it has none."""
        if self.is_group(parameter):
            return composition.choices.get(parameter.key)
        try:
            value = OmegaConf.select(composition.config, parameter.key)
        except OmegaConfBaseException:
            return None
        return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def make_request(overrides: list[str], experiment: str | None, config_dirs: list[str]) -> Request:
    """Return the request of a command line, after checking every value of every choice once.

    Args:
        overrides: settings of the sweep, overrides with several values, and those that all trials share.
        experiment: path of the experiment's file, if any.
        config_dirs: additional folders with config groups.

    Raises:
        ConfigError: with every problem found.
    """
    problems: list[Problem] = []
    mine = [line for line in overrides if line.partition("=")[0].partition(".")[0] == "sweep"]
    varied = [line for line in overrides if line not in mine and is_sweep(line)]
    fixed = [line for line in overrides if line not in mine and line not in varied]
    base = compose([*fixed, *mine], experiment, config_dirs)
    settings = read_settings(base.config, problems)
    if problems:
        raise ConfigError([*base.problems, *problems])
    for line in varied:
        override = OverridesParser.create().parse_override(line)
        settings.space[override.get_key_element()] = line.partition("=")[2]
    return request_of(settings, fixed, base, experiment, config_dirs)


def request_of(
    settings: Sweep, fixed: list[str], base: Composition, experiment: str | None, config_dirs: list[str]
) -> Request:
    """Check settings and space, and return the request.

    Raises:
        ConfigError: with every problem found.
    """
    problems: list[Problem] = []
    parameters = [parse_parameter(key, text, problems) for key, text in settings.space.items()]
    problems += [
        Problem(
            key,
            f"{key}: the folds are the same for all trials, so that these can be compared.",
            "incompatible",
            "Give one value.",
        )
        for key in settings.space
        if key.partition(".")[0] == "folds"
    ]
    problems += [
        Problem(key, f"{key} cannot be searched: it reaches a shell or another machine.", "not_allowed")
        for key in {*settings.space, *(key for point in settings.points for key in point)}
        if key.lstrip("+~").startswith(tuple(f"launcher.{name}" for name in GUARDED_KEYS))
    ]
    if not parameters:
        remedy = (
            "Give a key several values, as in 'optimizer.lr=tag(log, interval(1e-4, 1e-1))' or "
            "model=mlp,logistic."
        )
        problems.append(Problem("sweep.space", "there is nothing to search.", "missing", remedy))
    if settings.devices_per_trial is not None:
        fixed = [*fixed, *with_devices(settings.devices_per_trial, base, problems)]
    if problems or base.problems:
        raise ConfigError(list(dict.fromkeys([*base.problems, *problems])))
    space = Space(tuple(p for p in parameters if p))
    request = Request(settings, objectives_of(settings, base), space, fixed, experiment, config_dirs, base)
    request.space = with_needs(request, problems)
    problems += [] if problems else value_problems(request)
    problems += sampler_problems(settings, request.space)
    problems += idle_problems(base)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return request


def objectives_of(settings: Sweep, base: Composition) -> dict[str, str]:
    if settings.objectives:
        return dict(settings.objectives)
    if settings.objective:
        return {settings.objective: settings.mode or "min"}
    name, mode = monitor_of(to_plain(base.config, []))
    return {name: mode}


def with_devices(per_trial: float, base: Composition, problems: list[Problem]) -> list[str]:
    """Return the override that sets the devices of a trial; several devices are ranks of one run."""
    count = max(1, round(per_trial))
    set_before = OmegaConf.select(base.config, "hardware.devices")
    if set_before in (None, count):
        OmegaConf.update(base.config, "hardware.devices", count, force_add=True)
        return [f"hardware.devices={count}"]
    text = f"sweep.devices_per_trial={per_trial:g}, but hardware.devices={set_before}: leave one of them out."
    problems.append(Problem("sweep.devices_per_trial", text, "incompatible"))
    return []


def idle_problems(base: Composition) -> list[Problem]:
    """Report keys that would have no effect in a sweep."""
    if "run.name" not in base.explicit:
        return []
    name = OmegaConf.select(base.config, "run.name")
    text = f"run.name={name} would have no effect: trials are numbered."
    return [Problem("run.name", text, "no_effect", f"Use sweep.name={name}.")]


def sampler_problems(settings: Sweep, space: Space) -> list[Problem]:
    continuous = space.continuous_keys()
    if settings.sampler == "grid" and continuous:
        text = f"sweep.sampler=grid, but the values of {', '.join(continuous)} cannot be counted."
        remedy = "Give a choice or a range with a step, or another sampler."
        return [Problem("sweep.sampler", text, "incompatible", remedy)]
    if settings.sampler in ("cmaes", "qmc") and all(parameter.words for parameter in space.parameters):
        text = (
            f"sweep.sampler={settings.sampler} chooses numbers, and there are none in "
            f"{', '.join(space.as_dict())}: take tpe, random or grid."
        )
        return [Problem("sweep.sampler", text, "incompatible")]
    return []


def with_needs(request: Request, problems: list[Problem]) -> Space:
    """Return the space with conditions: a key exists only with those options of its group that accept it."""
    groups = [p for p in request.space.parameters if request.is_group(p)]
    rest = [p for p in request.space.parameters if p not in groups]
    found = []
    for parameter in rest:
        owner = next((g for g in groups if parameter.key.startswith(f"{g.key}.")), None)
        if owner is None:
            found.append(parameter)
            continue
        taking = [word for word in owner.words if takes(request, owner, word, parameter)]
        if not taking:
            text = f"{parameter.key}: none of {owner.key}={','.join(owner.words)} takes it."
            problems.append(Problem(parameter.key, text, "unknown_key"))
        found.append(parameter if len(taking) == len(owner.words) else replace(
            parameter, needs={owner.key: frozenset(taking)}))  # fmt: skip
    return Space((*groups, *found))


def takes(request: Request, owner: Parameter, word: str, parameter: Parameter) -> bool:
    """Return whether an option of a group has a key of its node, and accepts a value of the space."""
    value = parameter.nearest(None)
    composition = request.compose([f"{owner.key}={word}", f"{parameter.key}={parameter.word(value)}"])
    return not any(problem.concerns(parameter.key) for problem in check_config(composition))


def value_problems(request: Request) -> list[Problem]:
    """Check each value of each choice and both ends of each range once, with defaults for all others."""
    default, _ = request.default_point()
    lines = [request.space.overrides(default)]
    for parameter in request.space.parameters:
        for value in ends(parameter):
            wanted = dict(default) | {parameter.key: value}
            for other, words in parameter.needs.items():
                wanted[other] = next(iter(words))
            lines.append(request.space.overrides(complete(request.space, wanted)))
    problems: dict[Problem, None] = {}
    if request.base.config.get("resume"):
        text = "resume=auto would have no effect: repeating the command of a sweep continues it."
        problems[Problem("resume", text, "no_effect", "Remove it.")] = None
    for line in dict.fromkeys(map(tuple, lines)):
        problems |= dict.fromkeys(check_config(request.compose(list(line))))
    return list(problems)


def complete(space: Space, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return a point with these values, and any values of the other active parameters."""
    values: dict[str, Any] = {}
    for parameter in space.active(values):
        values[parameter.key] = wanted.get(parameter.key, parameter.nearest(None))
    return values


def ends(parameter: Parameter) -> list[Any]:
    distribution = parameter.distribution
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [distribution.low, distribution.high]
