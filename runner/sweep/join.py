"""To take part in a sweep that another process began, here or on a machine that reaches its storage."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runner.config.compose import compose
from runner.config.plain import to_plain, to_yaml
from runner.config.schema import Sweep
from runner.errors import ConfigError, Problem, RunNotFoundError, UserError
from runner.sweep.directory import SweepDir, find_sweep
from runner.sweep.plan import BEGUN, Plan, plan_of, reject_other, stored_plan, write_plan
from runner.sweep.request import Request, request_of
from runner.sweep.settings import read_settings
from runner.sweep.study import load_study

__all__ = ["join_request"]

OWN_SETTINGS = ("num_workers", "devices_per_trial", "memory_gib", "storage")
"""Settings that each process has for itself."""
OWN_NODES = ("run", "hardware", "launcher")


def join_request(name: str, overrides: list[str], root: str) -> tuple[Request, SweepDir]:
    """What the sweep's own plan asks for, with what this process has for itself.

    Args:
        name: of the sweep: its folder, the folder's name, ``latest``; or a study's name where ``overrides``
            tell the storage.

    Raises:
        RunNotFoundError: the sweep does not exist.
        ConfigError: this machine would not train the same, or an override is not one's own to choose.
    """
    nodes, own = own_overrides(overrides)
    roots = [line.partition("=")[2] for line in nodes if line.startswith("run.root=")]
    sweep = sweep_meant(name, roots[-1] if roots else root, own.get("storage"))
    study = load_study(sweep, own.get("storage"))
    before = stored_plan(study)
    if before is None or BEGUN not in study.user_attrs:
        raise UserError(f"the sweep {sweep.name} has only just begun: join it in a moment.")
    plan = before[0]
    if sweep.plan_path.is_file() and Path(plan["working_directory"]).is_dir():
        os.chdir(
            plan["working_directory"]
        )  # relative paths, ./conf and the user's own code are meant from there
    request = request_like(plan, [*nodes, f"run.root={quoted(sweep.path.parent)}"], own)
    base = to_yaml(to_plain(request.base.config, []))
    reject_other(sweep, before, plan_of(request), base)
    if not sweep.plan_path.is_file():
        sweep.trials.mkdir(parents=True, exist_ok=True)
        write_plan(sweep, plan, base)
    return request, sweep


def quoted(path: Path) -> str:
    """A path as a value of an override."""
    return "'" + str(path).replace("'", "\\'") + "'"


def sweep_meant(name: str, root: str, url: str | None) -> SweepDir:
    try:
        return find_sweep(name, root)
    except RunNotFoundError:
        if url is None:
            raise
        return SweepDir(Path(root).absolute() / name)


def own_overrides(overrides: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Overrides of other nodes, and this process's own settings.

    Raises:
        ConfigError: some are not one's own to choose.
    """
    nodes = [line for line in overrides if line.partition("=")[0].partition(".")[0] in OWN_NODES]
    mine = [line for line in overrides if line.partition("=")[0].partition(".")[0] == "sweep"]
    settings_keys = [line.partition("=")[0].partition(".")[2] for line in mine]
    foreign = [line for line in overrides if line not in nodes and line not in mine]
    foreign += [line for line, key in zip(mine, settings_keys, strict=True) if key not in OWN_SETTINGS]
    if foreign:
        own = ", ".join([f"sweep.{key}" for key in OWN_SETTINGS] + [f"{node}…" for node in OWN_NODES])
        text = f"{' '.join(foreign)}: a process that joins a sweep cannot change it."
        raise ConfigError(Problem(foreign[0].partition("=")[0], text, "incompatible", f"It may set {own}."))
    problems: list[Problem] = []
    base = compose([*mine])
    settings = read_settings(base.config, problems)
    if problems or base.problems:
        raise ConfigError([*base.problems, *problems])
    return nodes, {key: getattr(settings, key) for key in settings_keys}


def request_like(plan: Plan, nodes: list[str], own: dict[str, Any]) -> Request:
    """
    Raises:
        ConfigError: it cannot be composed here.
    """
    if plan["experiment"] and not Path(plan["experiment"]).is_file():
        text = f"the sweep was started with {plan['experiment']}, which does not exist here."
        raise ConfigError(Problem("", text, "not_found"))
    # How many at a time, and with what, is each process's own affair.
    settings = Sweep(**plan["settings"] | {"num_workers": 1, "devices_per_trial": None} | own)
    fixed = [
        line for line in plan["overrides"] if line.partition("=")[0] not in ("run.root", "hardware.devices")
    ]
    fixed += nodes
    base = compose(fixed, plan["experiment"], plan["config_dirs"])
    base.config.pop("sweep", None)
    return request_of(settings, fixed, base, plan["experiment"], plan["config_dirs"])
