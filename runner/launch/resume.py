"""An earlier run that a command goes on with: which one, and with what changed."""

from __future__ import annotations

import hashlib
import sys
import time
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.config.composition import Composition
from runner.config.diff import Change, find_changes, lengthens, refusals
from runner.config.folds import of_all_folds
from runner.config.resolve import to_plain, to_yaml
from runner.errors import ConfigError
from runner.run.directory import RunDir, list_runs
from runner.run.files import read_json, write_json, write_text
from runner.run.folds import has_folds
from runner.run.status import read_status, reject_running, write_status

__all__ = ["adopt", "earlier_run", "fingerprint", "go_on", "goes_on", "may_go_on"]


def fingerprint(composition: Composition) -> str:
    """The same for two commands that ask for the same training."""
    plain = to_plain(composition.config, [])
    plain = plain | {"run": {**plain["run"], "name": None}, "resume": None}
    return hashlib.sha256(to_yaml(plain).encode()).hexdigest()


def goes_on(composition: Composition) -> bool:
    """Whether a command means an earlier run of its kind, where there is one."""
    return composition.config.get("resume") == "auto" or of_all_folds(composition.config)


def earlier_run(composition: Composition) -> RunDir | None:
    """The run that ``resume=auto`` means, as does a command with folds: the one of that name, else the newest of the
    same config; None when there is none yet."""
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
    """Whether there is anything left to do.

    Raises:
        UserError: the run is under way, or a change would make its result meaningless.
    """
    reject_running(run)
    refused = refusals(changes)
    if refused:
        raise ConfigError(
            [f"{refusal} Go on without it, or start a new run with it: `runner train`." for refusal in refused]
        )
    return read_status(run).state != "finished" or lengthens(changes)


def go_on(run: RunDir, composition: Composition | None) -> bool:
    """Makes a run ready to go on, with the values that are other than before.

    Args:
        composition: the config as it is wanted now; None leaves it as it is.

    Returns:
        Whether there is anything left to do.

    Raises:
        UserError: it cannot go on, or not so.
    """
    wanted = OmegaConf.load(run.config_path) if composition is None else composition.config
    if not adopt(run, wanted) and not of_all_folds(wanted):  # of folds the results are told again
        print(f"{run.name} is finished. `runner resume {run.name} trainer.max_epochs=N` trains it longer.")
        return False
    return True


def adopt(run: RunDir, wanted: DictConfig) -> bool:
    """Puts into a run's config what is other in the config that is wanted now.

    Returns:
        Whether there is anything left to do; where not, nothing was written.

    Raises:
        UserError: it cannot go on, or not so.
    """
    config = OmegaConf.load(run.config_path)
    changes = find_changes(plain(config), plain(wanted))
    if not may_go_on(run, changes):
        return False
    if changes:
        there = plain(wanted)
        for change in changes:
            put(config, change.key, there)
        write_text(run.config_path, to_yaml(plain(config)), durable=True)
        note(run, changes)
    if read_status(run).state == "finished":  # results of before must not pass for those of what now fails to start
        write_status(run, state="interrupted", reason="it is to be trained longer, and has not begun to be")
    return True


def put(config: Any, key: str, wanted: dict[str, Any]) -> None:
    """Gives a key the value it has in ``wanted``. Where that has no such key, what stands in place of it does: nothing, or
    a value in place of the node that held it."""
    place, value = "", wanted
    for name in key.split("."):
        if not isinstance(value, dict) or name not in value:
            break
        place, value = f"{place}.{name}".lstrip("."), value[name]
    if place != key and isinstance(value, dict) and value:
        OmegaConf.select(config, key.rpartition(".")[0]).pop(key.rpartition(".")[2], None)
    else:
        OmegaConf.update(config, place, value, merge=False, force_add=True)


def plain(config: Any) -> dict[str, Any]:
    return to_plain(config, [])


def note(run: RunDir, changes: list[Change]) -> None:
    """Into the provenance, and to the user."""
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


