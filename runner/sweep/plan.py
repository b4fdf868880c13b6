"""What a sweep was begun with, kept beside its trials, so that going on with something else is noticed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from omegaconf import OmegaConf

from runner.config.plain import to_plain, to_yaml
from runner.errors import ConfigError
from runner.run.files import write_text
from runner.sweep.directory import SweepDir
from runner.sweep.request import Request

__all__ = ["changes", "keep_plan", "read_plan"]

FREE = ("run", "tracking", "hardware", "launcher", "plots", "report")
"""Nodes of the config that do not change what a trial measures."""
MAX_SHOWN = 5


def read_plan(sweep: SweepDir) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(sweep.plan_path))


def keep_plan(sweep: SweepDir, request: Request, metric: str, mode: str) -> list[str]:
    """Writes the plan; where there is one already, compares first.

    Returns:
        What is different now, and allowed to be.

    Raises:
        ConfigError: it is another search: its trials could not be compared with those there are.
    """
    plan = {
        "settings": asdict(request.settings),
        "space": request.space.as_dict(),
        "metric": metric,
        "mode": mode,
        "overrides": request.fixed,
        "experiment": request.experiment,
    }
    base = to_plain(request.base.config, [])
    said: list[str] = []
    if sweep.plan_path.is_file():
        before = read_plan(sweep)
        refused = changes(before, plan, base, OmegaConf.to_container(OmegaConf.load(sweep.base_path)))
        if refused:
            raise ConfigError(
                f"{sweep.path} holds another search: {'; '.join(refused)}. Begin a new one with sweep.name=NAME, or "
                "repeat the command that began this one to go on with it."
            )
        said = allowed(before["settings"], plan["settings"])
    write_text(sweep.base_path, to_yaml(base))
    write_text(sweep.plan_path, to_yaml(plan), durable=True)
    return said


def changes(
    before: dict[str, Any], plan: dict[str, Any], base: dict[str, Any], base_before: dict[str, Any]
) -> list[str]:
    """Differences that make it another search: of space, objective, or what all trials share."""
    found = [
        f"the values of {key} were {before['space'].get(key, 'fixed')} and are {plan['space'].get(key, 'fixed')}"
        for key in sorted({*before["space"], *plan["space"]})
        if before["space"].get(key) != plan["space"].get(key)
    ]
    found += [
        f"the {name} was {before[name]} and is {plan[name]}"
        for name in ("metric", "mode")
        if before[name] != plan[name]
    ]
    old, new = flat(base_before), flat(OmegaConf.to_container(OmegaConf.create(to_yaml(base))))
    varied = tuple(f"{key}." for key in {*before["space"], *plan["space"]})
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    keys = [key for key in keys if not f"{key}.".startswith(varied) and key.partition(".")[0] not in FREE]
    found += [f"{key} was {old.get(key)} and is {new.get(key)}" for key in keys[:MAX_SHOWN]]
    return found + ([f"and {len(keys) - MAX_SHOWN} more"] if len(keys) > MAX_SHOWN else [])


def allowed(before: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    return [
        f"sweep.{key} was {before.get(key)} and is {value}"
        for key, value in settings.items()
        if key in before and before[key] != value and key != "space"
    ]


def flat(value: Any, place: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            k: v for key, inner in value.items() for k, v in flat(inner, f"{place}.{key}".lstrip(".")).items()
        }
    return {place: value}
