"""Resuming: which earlier run a command continues, and with which changes."""

from __future__ import annotations

import copy
import hashlib
import sys
import time
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.config.checks.folds import of_all_folds
from runner.config.composition import Composition
from runner.config.diff import Change, find_changes, lengthens, rejections
from runner.config.plain import dotted_keys, to_plain, to_yaml
from runner.errors import ConfigError
from runner.run.directory import RunDir, list_runs
from runner.run.files import read_json, write_json, write_text
from runner.run.folds import has_folds
from runner.run.format import FORMAT_VERSION, read_stored_config
from runner.run.status import read_status, reject_running, write_status

__all__ = ["adopt", "earlier_run", "fingerprint", "go_on", "goes_on", "may_go_on"]


def fingerprint(composition: Composition) -> str:
    """A digest that is equal for two commands that request the same training."""
    plain = to_plain(composition.config, [])
    plain = plain | {"run": {**plain["run"], "name": None}, "resume": None}
    return hashlib.sha256(to_yaml(plain).encode()).hexdigest()


def goes_on(composition: Composition) -> bool:
    """Whether a command resumes a matching earlier run, if one exists."""
    return composition.config.get("resume") == "auto" or of_all_folds(composition.config)


def earlier_run(composition: Composition) -> RunDir | None:
    """The run that ``resume=auto`` or a command with folds refers to: the run of that name, or else the
    newest run with the same config; None if no such run exists.
    """
    root, name = composition.config.run.root, composition.config.run.name
    runs = list_runs(root)
    if of_all_folds(composition.config):
        runs = [run for run in runs if has_folds(run)]
    if name:
        return next((run for run in runs if run.name == name), None)
    wanted = fingerprint(composition)
    same = [run for run in runs if read_json(run.provenance_path, {}).get("fingerprint") == wanted]
    return same[-1] if same else None


def may_go_on(run: RunDir, changes: list[Change]) -> bool:
    """Whether the run has work left.

    Raises:
        UserError: the run is in progress, or a change would make its result meaningless.
    """
    reject_running(run)
    refused = rejections(changes)
    if refused:
        remedy = "Resume without this change, or start a new run with it: `runner train`."
        raise ConfigError([replace(problem, suggestion=remedy) for problem in refused])
    return read_status(run).state != "finished" or lengthens(changes)


def go_on(run: RunDir, composition: Composition | None) -> bool:
    """Prepares a run for resuming, with the changed values of a new config.

    Args:
        composition: the new config; None keeps the stored one.

    Returns:
        Whether the run has work left.

    Raises:
        UserError: the run cannot be resumed, or not with these changes.
    """
    if composition is None:
        wanted = read_stored_config(run.config_path)
    else:
        wanted = without_newer_defaults(run, composition)
    if not adopt(run, wanted) and not of_all_folds(wanted):  # for folds, the results are printed again
        print(f"{run.name} is finished. `runner resume {run.name} trainer.max_epochs=N` trains it longer.")
        return False
    return True


def without_newer_defaults(run: RunDir, composition: Composition) -> DictConfig:
    """The new config of a run, without defaults that were added after the format in which it was started."""
    provenance = read_json(run.provenance_path, {})
    if provenance.get("format_version", 0) >= FORMAT_VERSION:
        return composition.config
    choices, wanted = provenance.get("choices") or {}, copy.deepcopy(composition.config)
    stored = dotted_keys(read_stored_config(run.config_path))
    for key in sorted(set(dotted_keys(wanted)) - set(stored), reverse=True):  # children before their parents
        is_given = any(f"{given}.".startswith(f"{key}.") for given in composition.explicit)
        group, (parent, _, name) = key.partition(".")[0], key.rpartition(".")
        if not is_given and composition.choices.get(group) == choices.get(group):
            (OmegaConf.select(wanted, parent) if parent else wanted).pop(name)
    return wanted


def adopt(run: RunDir, wanted: DictConfig) -> bool:
    """Writes the values that differ in ``wanted`` into the run's config.

    Returns:
        Whether the run has work left; if not, nothing was written.

    Raises:
        UserError: the run cannot be resumed, or not with these changes.
    """
    config = read_stored_config(run.config_path)
    changes = find_changes(plain(config), plain(wanted))
    if not may_go_on(run, changes):
        return False
    if changes:
        values = plain(wanted)
        for change in changes:
            put(config, change.key, values)
        write_text(run.config_path, to_yaml(plain(config)), durable=True)
        note(run, changes)
    if (
        read_status(run).state == "finished"
    ):  # if the new attempt fails to start, old results must not pass for its own
        write_status(run, state="interrupted", reason="a longer training was requested but has not started")
    return True


def put(config: Any, key: str, wanted: dict[str, Any]) -> None:
    """Sets a key to its value in ``wanted``. If ``wanted`` lacks the key, the nearest existing parent is set
    instead: it may be missing or hold a plain value there.
    """
    parent, value = "", wanted
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            break
        parent, value = f"{parent}.{name}".lstrip("."), value[name]
    if parent != key and isinstance(value, dict) and value:
        OmegaConf.select(config, key.rpartition(".")[0]).pop(key.rpartition(".")[2], None)
    else:
        OmegaConf.update(config, parent, value, merge=False, force_add=True)


def plain(config: Any) -> dict[str, Any]:
    return to_plain(config, [])


def note(run: RunDir, changes: list[Change]) -> None:
    """Records the changes in the provenance and prints them."""
    provenance = read_json(run.provenance_path, {})
    entry = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "step": read_status(run).step,
        "changes": {change.key: [change.before, change.now] for change in changes},
    }
    provenance["changed"] = [*provenance.get("changed", []), entry]
    write_json(run.provenance_path, provenance)
    print(f"{len(changes)} values differ from before:")
    for change in changes:
        print(f"  {change}")
