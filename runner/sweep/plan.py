"""The plan of a sweep, which is stored with its study so that a different search is detected on resume."""

from __future__ import annotations

import os
import re
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from omegaconf import OmegaConf

from runner.config.diff import comparable_values
from runner.config.plain import to_plain, to_yaml
from runner.config.trust import GUARDED_KEYS, guarded_values, sign_values
from runner.errors import ConfigError, Problem
from runner.run.files import write_text
from runner.run.format import FORMAT_VERSION, read_stored_config, reject_newer_format
from runner.run.migrations import migrate_names
from runner.sweep.directory import SweepDir
from runner.sweep.request import Request
from runner.sweep.storage import url_without_password, without_password

__all__ = [
    "IS_READY",
    "TOKEN",
    "Plan",
    "guarded_plan",
    "load_plain",
    "plan_of",
    "read_plan",
    "reject_different_search",
    "store_plan",
    "stored_plan",
    "write_plan",
]

FREE = ("run", "tracking", "hardware", "launcher", "plots", "report")
"""Nodes of the config that do not change what a trial measures."""
UNREPORTED = ("space", "storage")
"""Settings whose changes are reported elsewhere."""
IS_READY = "begun"
"""Attribute of the study: its initial points are enqueued, so that other processes may join."""
TOKEN = "mlflow"
"""Attribute of the study: the tag by which all machines find the sweep's run in MLflow."""
MAX_SHOWN = 5
GUARDED = re.compile(rf"_target_|\$\{{|launcher.*({'|'.join(GUARDED_KEYS)})")
"""Overrides that could construct objects, run commands or connect to another machine."""

Plan = dict[str, Any]


def load_plain(path: Path) -> dict[str, Any]:
    """Load a YAML file in plain containers, with interpolations unresolved."""
    return plain(read_stored_config(path), resolve=False)


def plain(config: Any, resolve: bool = True) -> dict[str, Any]:
    values = OmegaConf.to_container(config, resolve=resolve)
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}


def read_plan(sweep: SweepDir) -> Plan:
    """Read the plan from the sweep's folder."""
    return plain(read_stored_config(sweep.plan_path))


def stored_plan(study: optuna.Study) -> tuple[Plan, dict[str, Any]] | None:
    """Return the plan of a study and the config that its trials share; None before they were stored."""
    attributes = study.user_attrs
    if "base" not in attributes:
        return None
    return attributes["plan"], plain(OmegaConf.create(migrate_names(str(attributes["base"]))))


def plan_of(request: Request) -> Plan:
    """Return the plan of a request, in plain containers."""
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


def guarded_plan(plan: Plan, base: Any) -> list[str]:
    """Return what a plan would construct or execute beyond the components of runner and its libraries.

    Args:
        plan: the plan.
        base: the config that all trials share.
    """
    values = guarded_values(base)
    lines = [*plan["overrides"], *(f"{key}={text}" for key, text in plan["space"].items())]
    values += [f"override: {line}" for line in lines if GUARDED.search(line)]
    values += [f"config folder: {folder}" for folder in plan["config_dirs"]]
    return list(dict.fromkeys(values))


def store_plan(sweep: SweepDir, study: optuna.Study, request: Request) -> list[str]:
    """Store the plan in the study and in the sweep's folder; compare it with an existing plan first.

    Returns:
        A line for each difference that does not make it a different search.

    Raises:
        ConfigError: it is a different search, so its trials could not be compared with the existing ones.
    """
    reject_newer_format(sweep.path)
    plan, base = plan_of(request), to_yaml(to_plain(request.base.config, []))
    before = stored_plan(study)
    notes: list[str] = []
    if before is not None:
        reject_different_search(sweep, before, plan, base)
        notes = setting_changes(before[0]["settings"], plan["settings"])
    elif sweep.trials.is_dir() and any(sweep.trials.iterdir()):
        text = f"{sweep.trials} contains trials that are not in the study: {storage_change(sweep, plan)}."
        remedy = "Start a new search with sweep.name=NAME."
        raise ConfigError(Problem("sweep.name", text, "incompatible", remedy))
    elif study.get_trials(deepcopy=False):
        text = f"a study named {sweep.name!r} exists already that was not created by a sweep."
        remedy = "Choose another name with sweep.name=NAME."
        raise ConfigError(Problem("sweep.name", text, "incompatible", remedy))
    if TOKEN not in study.user_attrs:
        study.set_user_attr(TOKEN, uuid.uuid4().hex)
    study.set_user_attr("plan", plan)
    study.set_user_attr("base", base)
    sign_values(sweep.path, guarded_plan(plan, plain(OmegaConf.create(base))))
    write_plan(sweep, plan, base)
    return notes


def write_plan(sweep: SweepDir, plan: Plan, base: str) -> None:
    """Write the plan and the shared config into the sweep's folder."""
    write_text(sweep.base_path, base)
    write_text(sweep.plan_path, to_yaml(plan), durable=True)


def storage_change(sweep: SweepDir, plan: Plan) -> str:
    before = read_plan(sweep)["settings"].get("storage") if sweep.plan_path.is_file() else None
    if before == plan["settings"]["storage"]:
        return "the study was lost"
    storages = [
        url_without_password(url) if url else "the sweep's own folder"
        for url in (before, plan["settings"]["storage"])
    ]
    return f"they are stored in {storages[0]}, but this search would be stored in {storages[1]}"


def reject_different_search(
    sweep: SweepDir, before: tuple[Plan, dict[str, Any]], plan: Plan, base: str
) -> None:
    """Compare a plan with the stored one.

    Args:
        sweep: the sweep that holds the stored plan.
        before: the stored plan and the config that its trials share.
        plan: the new plan.
        base: the new shared config, as YAML.

    Raises:
        ConfigError: it is a different search.
    """
    differences = search_differences(*before, plan, plain(OmegaConf.create(base)))
    if differences:
        text = f"{sweep.path} contains a different search: {'; '.join(differences)}."
        remedy = (
            "Start a new one with sweep.name=NAME, or repeat the command that started this one to "
            "continue it."
        )
        raise ConfigError(Problem("sweep.name", text, "incompatible", remedy))


def search_differences(
    before: Plan, base_before: dict[str, Any], plan: Plan, base: dict[str, Any]
) -> list[str]:
    """List the differences in space, objectives and shared config that make it a different search."""
    found = [
        f"the values of {key} were {before['space'].get(key, 'fixed')} and are "
        f"{plan['space'].get(key, 'fixed')}"
        for key in sorted({*before["space"], *plan["space"]})
        if before["space"].get(key) != plan["space"].get(key)
    ]
    if before["objectives"] != plan["objectives"]:
        found.append(f"the objectives were {objectives(before)} and are {objectives(plan)}")
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


def setting_changes(before: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    return [
        f"sweep.{key} was {before.get(key)} and is {value}"
        for key, value in settings.items()
        if key in before and before[key] != value and key not in UNREPORTED
    ]
