"""What a sweep was begun with, kept with its study, so that going on with something else is noticed."""

from __future__ import annotations

import os
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf

from runner.config.diff import comparable_values
from runner.config.plain import to_plain, to_yaml
from runner.errors import ConfigError, Problem
from runner.run.files import write_text
from runner.run.format import FORMAT_VERSION, read_stored_config, reject_newer_format
from runner.run.migrations import migrate_names
from runner.sweep.directory import SweepDir
from runner.sweep.request import Request
from runner.sweep.storage import shown_url, without_password

__all__ = ["BEGUN", "Plan", "keep_plan", "plan_of", "read_plan", "reject_other", "stored_plan", "write_plan"]

FREE = ("run", "tracking", "hardware", "launcher", "plots", "report")
"""Nodes of the config that do not change what a trial measures."""
QUIET = ("space", "storage")
"""Settings that are reported elsewhere."""
BEGUN = "begun"
"""The study's word that all points which come first are in it."""
TOKEN = "mlflow"
"""The study's word by which all machines that take part find the sweep's run in MLflow."""
MAX_SHOWN = 5

Plan = dict[str, Any]


def read_plan(sweep: SweepDir) -> Plan:
    return OmegaConf.to_container(read_stored_config(sweep.plan_path))


def stored_plan(study: optuna.Study) -> tuple[Plan, dict[str, Any]] | None:
    """The plan of a study and the config that its trials share; None before they were kept."""
    kept = study.user_attrs
    if "base" not in kept:
        return None
    return kept["plan"], OmegaConf.to_container(OmegaConf.create(migrate_names(kept["base"])))


def plan_of(request: Request) -> Plan:
    settings = asdict(request.settings)
    return {
        "settings": settings | {"storage": without_password(settings["storage"])},
        "space": request.space.as_dict(),
        "objectives": request.objectives,
        "overrides": request.fixed,
        "experiment": None if request.experiment is None else str(Path(request.experiment).absolute()),
        "config_dirs": [str(Path(folder).absolute()) for folder in request.config_dirs],
        "working_directory": os.getcwd(),
        "format_version": FORMAT_VERSION,
    }


def keep_plan(sweep: SweepDir, study: optuna.Study, request: Request) -> list[str]:
    """Keeps the plan in the study, and in the sweep's folder; where there is one already, compares first.

    Returns:
        What is different now, and allowed to be.

    Raises:
        ConfigError: it is another search: its trials could not be compared with those there are.
    """
    reject_newer_format(sweep.path)
    plan, base = plan_of(request), to_yaml(to_plain(request.base.config, []))
    before = stored_plan(study)
    said: list[str] = []
    if before is not None:
        reject_other(sweep, before, plan, base)
        said = allowed(before[0]["settings"], plan["settings"])
    elif sweep.trials.is_dir() and any(sweep.trials.iterdir()):
        text = f"{sweep.trials} holds trials that the study does not contain: {kept_elsewhere(sweep, plan)}."
        remedy = "Begin a new search with sweep.name=NAME."
        raise ConfigError(Problem("sweep.name", text, "incompatible", remedy))
    elif study.get_trials(deepcopy=False):
        text = f"a study {sweep.name!r} that no sweep has begun exists already."
        remedy = "Take another name with sweep.name=NAME."
        raise ConfigError(Problem("sweep.name", text, "incompatible", remedy))
    if TOKEN not in study.user_attrs:
        study.set_user_attr(TOKEN, uuid.uuid4().hex)
    study.set_user_attr("plan", plan)
    study.set_user_attr("base", base)
    write_plan(sweep, plan, base)
    return said


def write_plan(sweep: SweepDir, plan: Plan, base: str) -> None:
    write_text(sweep.base_path, base)
    write_text(sweep.plan_path, to_yaml(plan), durable=True)


def kept_elsewhere(sweep: SweepDir, plan: Plan) -> str:
    before = read_plan(sweep)["settings"].get("storage") if sweep.plan_path.is_file() else None
    if before == plan["settings"]["storage"]:
        return "it was lost"
    places = [
        shown_url(url) if url else "the sweep's own folder" for url in (before, plan["settings"]["storage"])
    ]
    return f"they are kept in {places[0]}, and this search is to be kept in {places[1]}"


def reject_other(sweep: SweepDir, before: tuple[Plan, dict[str, Any]], plan: Plan, base: str) -> None:
    """
    Raises:
        ConfigError: the plan kept with the study is of another search.
    """
    refused = changes(*before, plan, OmegaConf.to_container(OmegaConf.create(base)))
    if refused:
        text = f"{sweep.path} holds another search: {'; '.join(refused)}."
        remedy = "Begin a new one with sweep.name=NAME, or repeat the command that started this one to continue it."
        raise ConfigError(Problem("sweep.name", text, "incompatible", remedy))


def changes(before: Plan, base_before: dict[str, Any], plan: Plan, base: dict[str, Any]) -> list[str]:
    """Differences that make it another search: of space, objectives, or what all trials share."""
    found = [
        f"the values of {key} were {before['space'].get(key, 'fixed')} and are "
        f"{plan['space'].get(key, 'fixed')}"
        for key in sorted({*before["space"], *plan["space"]})
        if before["space"].get(key) != plan["space"].get(key)
    ]
    if before["objectives"] != plan["objectives"]:
        found.append(f"it searched by {objectives(before)} and is to search by {objectives(plan)}")
    if before["settings"]["repeats"] != plan["settings"]["repeats"]:
        found.append(
            f"sweep.repeats was {before['settings']['repeats']} and is {plan['settings']['repeats']}"
        )
    old, new = comparable_values(base_before), comparable_values(base)
    varied = tuple(f"{key}." for key in {*before["space"], *plan["space"]})
    keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
    keys = [key for key in keys if not f"{key}.".startswith(varied) and key.partition(".")[0] not in FREE]
    keys = [key for key in keys if key in old or not is_newer_default(key, before, plan)]
    found += [f"{key} was {old.get(key)} and is {new.get(key)}" for key in keys[:MAX_SHOWN]]
    return found + ([f"and {len(keys) - MAX_SHOWN} more"] if len(keys) > MAX_SHOWN else [])


def is_newer_default(key: str, before: Plan, plan: Plan) -> bool:
    """Whether a key can only be a default that versions since the sweep's format have added."""
    given = [override.partition("=")[0].lstrip("+") for override in plan["overrides"]]
    is_given = any(f"{key}.".startswith(f"{name}.") for name in given)
    return before.get("format_version", 0) < FORMAT_VERSION and not is_given


def objectives(plan: Plan) -> str:
    return ", ".join(f"{name} ({mode})" for name, mode in plan["objectives"].items())


def allowed(before: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    return [
        f"sweep.{key} was {before.get(key)} and is {value}"
        for key, value in settings.items()
        if key in before and before[key] != value and key not in QUIET
    ]
