"""Resuming: selects the earlier run that a command continues, and applies changed values to it."""

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
from runner.config.trust import guarded_values, reject_untrusted, write_config
from runner.errors import ConfigError
from runner.run.directory import RunDir, list_runs
from runner.run.files import read_json, write_json
from runner.run.folds import has_folds
from runner.run.format import FORMAT_VERSION, read_stored_config
from runner.run.lock import acquire_lock, release_lock
from runner.run.state import RunState
from runner.run.status import read_status, reject_running, write_status

__all__ = [
    "apply_changes",
    "earlier_run",
    "fingerprint",
    "has_work_left",
    "prepare_resume",
    "resumes_earlier_run",
]


def fingerprint(composition: Composition) -> str:
    """Return a digest that is equal for two commands that request the same training."""
    plain = to_plain(composition.config, [])
    plain = plain | {"run": {**plain["run"], "name": None}, "resume": None}
    return hashlib.sha256(to_yaml(plain).encode()).hexdigest()


def resumes_earlier_run(composition: Composition) -> bool:
    """Return whether a command resumes a matching earlier run, if one exists."""
    return composition.config.get("resume") == "auto" or of_all_folds(composition.config)


def earlier_run(composition: Composition) -> RunDir | None:
    """Return the run that ``resume=auto`` or a command with folds refers to.

    This is the run of that name or, without a name, the newest run with the same config; None if no such run
    exists.
    """
    root, name = composition.config.run.root, composition.config.run.name
    runs = list_runs(root)
    if of_all_folds(composition.config):
        runs = [run for run in runs if has_folds(run)]
    if name:
        return next((run for run in runs if run.name == name), None)
    wanted = fingerprint(composition)
    same = [run for run in runs if RunState(run, tolerant=True).provenance.get("fingerprint") == wanted]
    return same[-1] if same else None


def has_work_left(run: RunDir, changes: list[Change]) -> bool:
    """Return whether the run has work left.

    Args:
        run: the run to resume.
        changes: values that differ from the run's config.

    Raises:
        UserError: the run is in progress, or a change would make its result meaningless.
    """
    reject_running(run)
    refused = rejections(changes)
    if refused:
        remedy = "Resume without this change, or start a new run with it: `runner train`."
        raise ConfigError([replace(problem, suggestion=remedy) for problem in refused])
    return read_status(run).state != "finished" or lengthens(changes)


def prepare_resume(run: RunDir, composition: Composition | None) -> bool:
    """Prepare a run for resuming, with the changed values of a new config.

    This process then holds the lock of the run, which `runner.launch.local.launch` releases at the end of the
    attempt.

    Args:
        run: the run to resume.
        composition: the new config; None keeps the stored one.

    Returns:
        Whether the run has work left.

    Raises:
        UserError: the run cannot be resumed, or not with these changes.
    """
    stored = read_stored_config(run.config_path)
    if not names_all_values(composition, stored):
        reject_untrusted(run.path, stored)
    is_new_lock, is_prepared = acquire_lock(run), False
    try:
        is_prepared = prepare_locked(run, composition)
    finally:
        if is_new_lock and not is_prepared:
            release_lock(run)
    return is_prepared


def prepare_locked(run: RunDir, composition: Composition | None) -> bool:
    stored = read_stored_config(run.config_path)
    wanted = stored if composition is None else without_newer_defaults(run, composition)
    has_work = apply_changes(run, wanted)
    if not has_work and not of_all_folds(wanted):  # for folds, the results are printed again
        print(f"{run.name} is finished. `runner resume {run.name} trainer.max_epochs=N` trains it longer.")
        return False
    return True


def names_all_values(composition: Composition | None, stored: DictConfig) -> bool:
    """Return whether the command itself names all own code and commands of a stored config.

    A run that the same command resumes needs no signature, for example in a container whose home folder, with
    the key, is new at every start.

    Args:
        composition: the config of the command; None, or the config of a run, if it has none of its own.
        stored: the config of the run.
    """
    if composition is None or composition.resolved:
        return False
    return set(guarded_values(stored)) <= set(guarded_values(plain(composition.config)))


def without_newer_defaults(run: RunDir, composition: Composition) -> DictConfig:
    """Return the new config without defaults that were added after the format of the run."""
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


def apply_changes(run: RunDir, wanted: DictConfig) -> bool:
    """Write the values that differ in ``wanted`` into the run's config.

    Returns:
        Whether the run has work left; if not, nothing was written.

    Raises:
        UserError: the run cannot be resumed, or not with these changes.
    """
    config = read_stored_config(run.config_path)
    changes = find_changes(plain(config), plain(wanted))
    if not has_work_left(run, changes):
        return False
    if changes:
        values = plain(wanted)
        for change in changes:
            set_value(config, change.key, values)
        write_config(run.path, plain(config))
        record_changes(run, changes)
    if read_status(run).state == "finished":
        # If the new attempt fails to start, the old results must not be mistaken for its results.
        write_status(run, state="interrupted", reason="a longer training was requested but has not started")
    return True


def set_value(config: Any, key: str, wanted: dict[str, Any]) -> None:
    """Set a key of ``config`` to its value in ``wanted``.

    If ``wanted`` lacks the key, the nearest parent that exists there is set instead, since it may be missing
    or hold a plain value.
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


def plain(config: DictConfig) -> dict[str, Any]:
    values: dict[str, Any] = to_plain(config, [])
    return values


def record_changes(run: RunDir, changes: list[Change]) -> None:
    """Record the changes in the provenance and print them."""
    provenance = read_json(run.provenance_path, {})
    entry = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "step": read_status(run).step,
        "changes": {change.key: [change.before, change.now] for change in changes},
    }
    provenance["changed"] = [*provenance.get("changed", []), entry]
    write_json(run.provenance_path, provenance)
    values = "1 value differs" if len(changes) == 1 else f"{len(changes)} values differ"
    print(f"{values} from the previous attempt:")
    for change in changes:
        print(f"  {change}")
