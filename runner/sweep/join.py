"""Joins a sweep that another process has started, on this machine or on one that shares its storage."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from runner.config.compose import compose
from runner.config.plain import to_plain, to_yaml
from runner.config.schema import Sweep
from runner.config.trust import reject_values
from runner.errors import ConfigError, Problem, RunNotFoundError, UserError
from runner.sweep.directory import SweepDir, find_sweep
from runner.sweep.plan import (
    IS_READY,
    Plan,
    guarded_plan,
    plan_of,
    reject_different_search,
    stored_plan,
    write_plan,
)
from runner.sweep.request import Request, request_of
from runner.sweep.settings import read_settings
from runner.sweep.study import load_study

__all__ = ["join_request"]

OWN_SETTINGS = ("num_workers", "devices_per_trial", "memory_gib", "storage")
"""Settings that each process may choose."""
OWN_NODES = ("run", "hardware", "launcher")
"""Nodes of the config that each process may choose."""


def join_request(name: str, overrides: list[str], root: str) -> tuple[Request, SweepDir]:
    """Return the request of an existing sweep, with the settings of this process.

    Args:
        name: the sweep's folder, the folder's name, or ``latest``; with ``sweep.storage`` among the
            overrides, the name of a study.
        overrides: settings of this process.
        root: folder of the runs.

    Raises:
        RunNotFoundError: the sweep does not exist.
        UserError: the sweep has no trials yet, or another user has created it.
        ConfigError: this machine would train something else, or an override cannot be chosen here.
    """
    nodes, own = own_overrides(overrides)
    roots = [line.partition("=")[2] for line in nodes if line.startswith("run.root=")]
    sweep = find_sweep_or_study(name, roots[-1] if roots else root, own.get("storage"))
    study = load_study(sweep, own.get("storage"))
    before = stored_plan(study)
    if before is None or IS_READY not in study.user_attrs:
        raise UserError(f"the sweep {sweep.name} is still starting: join it in a moment.")
    plan = before[0]
    reject_other_directory(sweep, plan)
    reject_values(sweep.path, guarded_plan(plan, before[1]))
    request = request_like(plan, [*nodes, f"run.root={quoted(sweep.path.parent)}"], own)
    base = to_yaml(to_plain(request.base.config, []))
    reject_different_search(sweep, before, plan_of(request), base)
    if not sweep.plan_path.is_file():
        sweep.trials.mkdir(parents=True, exist_ok=True)
        write_plan(sweep, plan, base)
    return request, sweep


def reject_other_directory(sweep: SweepDir, plan: Plan) -> None:
    """Check that this process works in the directory of the sweep.

    Relative paths, ``./conf`` and the user's modules are relative to it. Changing to a directory that the
    plan names could make code importable that the user has not chosen.

    Raises:
        UserError: the directory exists here, and this process works in another one.
    """
    directory = Path(plan["working_directory"])
    if sweep.plan_path.is_file() and directory.is_dir() and not directory.samefile(Path.cwd()):
        command = f"cd {shlex.quote(str(directory))} && runner sweep --join {shlex.quote(str(sweep.path))}"
        raise UserError(
            f"the sweep {sweep.name} works in {directory}, and this command in {Path.cwd()}. If you trust "
            f"the code in that folder, use: {command}"
        )


def quoted(path: Path) -> str:
    """Return a path as the value of an override."""
    return "'" + str(path).replace("'", "\\'") + "'"


def find_sweep_or_study(name: str, root: str, url: str | None) -> SweepDir:
    try:
        return find_sweep(name, root)
    except RunNotFoundError:
        if url is None:
            raise
        return SweepDir(Path(root).absolute() / name)


def own_overrides(overrides: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Split the overrides into those of other nodes and the settings of the sweep.

    Raises:
        ConfigError: a process that joins cannot choose some of them.
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
    """Return the request of a plan, with the settings of this process.

    Raises:
        ConfigError: it cannot be composed on this machine.
    """
    if plan["experiment"] and not Path(plan["experiment"]).is_file():
        text = f"the sweep was started with {plan['experiment']}, which does not exist here."
        raise ConfigError(Problem("", text, "not_found"))
    # The number of workers and their devices are those of this process.
    settings = Sweep(**plan["settings"] | {"num_workers": 1, "devices_per_trial": None} | own)
    fixed = [
        line for line in plan["overrides"] if line.partition("=")[0] not in ("run.root", "hardware.devices")
    ]
    fixed += nodes
    base = compose(fixed, plan["experiment"], plan["config_dirs"])
    base.config.pop("sweep", None)
    return request_of(settings, fixed, base, plan["experiment"], plan["config_dirs"])
