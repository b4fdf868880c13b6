"""Turns a command into a run directory, which exactly one process creates even if several were started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

from omegaconf import OmegaConf

from runner.auto.choose import Compose, choose_automatically
from runner.config.checks.check import check_config
from runner.config.checks.folds import of_all_folds
from runner.config.checks.no_effect import lr_finder_problems, single_run_problems
from runner.config.composition import Composition
from runner.config.diff import comparable_values
from runner.config.plain import to_plain, to_yaml
from runner.distributed.process_info import ProcessInfo
from runner.errors import ConfigError, Problem
from runner.launch.local import prepare
from runner.launch.node_rendezvous import join_rendezvous
from runner.launch.resume import earlier_run, prepare_resume, resumes_earlier_run
from runner.run.directory import RunDir
from runner.run.format import read_stored_config
from runner.run.status import read_status

__all__ = ["choose_run", "joins_other_machine", "prepare_run", "set_devices"]

MACHINE_KEYS = ("run.root",)
"""Keys that may differ between machines: a shared folder can have a different path on each."""


def prepare_run(compose: Compose, command: list[str]) -> RunDir | None:
    """Check a command's config and write its run directory.

    Under ``torchrun`` or ``srun`` the first rank composes and writes; the others wait and receive the same
    directory. After a restart by torchrun it is the existing directory, and the ranks resume from its last
    checkpoint.

    Args:
        compose: composes the config with additional overrides, which the user's own take precedence over;
            called only in the process that creates the directory.
        command: the command line, recorded in the provenance.

    Returns:
        The run directory. With ``resume=auto`` it may be an existing one; None, after a message, if that run
        has no work left.

    Raises:
        ConfigError: contains every error in the config.
    """
    process_info = ProcessInfo.here()

    def composed() -> Composition:
        composition = compose(())
        device_problems = set_devices(process_info, composition)
        without_effect = [*single_run_problems(composition), *lr_finder_problems(composition)]
        if problems := [*device_problems, *check_config(composition), *without_effect]:
            raise ConfigError(problems)
        chosen = choose_automatically(composition, compose)
        if chosen is not composition:
            set_devices(process_info, chosen)
        return chosen

    def new_or_earlier(composition: Composition) -> RunDir | None:
        for note in composition.notes:
            print(note, file=sys.stderr)
        earlier = earlier_run(composition) if resumes_earlier_run(composition) else None
        if earlier is not None:
            return earlier if prepare_resume(earlier, composition) else None
        return prepare(composition, command)

    def make(before: RunDir | None) -> RunDir | None:
        return new_or_earlier(composed()) if before is None else before

    if process_info.under_agent:
        return decide_in_group(process_info, make)
    composition = composed()
    rendezvous = join_rendezvous(composition.config)
    if rendezvous is None:
        return new_or_earlier(composition)
    run = rendezvous.decide(lambda: new_or_earlier(composition))
    if run is not None and not rendezvous.is_first and read_status(run).state == "created":
        compare_with_first(run, composition, rendezvous.endpoint)
        print(
            f"this machine joins {run.path}, created by the machine at {rendezvous.endpoint}",
            file=sys.stderr,
        )
    return run


def compare_with_first(run: RunDir, composition: Composition, endpoint: str) -> None:
    """Compare the config on this machine with the one that the first machine wrote.

    Raises:
        ConfigError: the command on this machine differs from that on the first.
    """
    stored = OmegaConf.to_container(read_stored_config(run.config_path))
    own = OmegaConf.to_container(OmegaConf.create(to_yaml(to_plain(composition.config, []))))
    theirs, ours = (comparable_values(cast(dict[str, Any], config)) for config in (stored, own))
    different = [
        key
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key) and key not in MACHINE_KEYS
    ]
    if different:
        raise ConfigError(
            Problem(
                key,
                f"{key} is {ours.get(key)} here and {theirs.get(key)} on the machine at {endpoint}.",
                "incompatible",
                "Run the same command on all machines.",
            )
            for key in different
        )


def choose_run(choose: Callable[[], RunDir | None]) -> RunDir | None:
    """Return an existing run, or None if it has no work left; under ``torchrun`` the first rank chooses."""
    return decide_in_group(ProcessInfo.here(), lambda before: choose() if before is None else before)


def joins_other_machine(run: RunDir) -> bool:
    """Return whether this machine joins a run that another machine has just started."""
    if ProcessInfo.here().under_agent:
        return False
    rendezvous = join_rendezvous(read_stored_config(run.config_path))
    return rendezvous is not None and not rendezvous.is_first


def decide_in_group(
    process_info: ProcessInfo, decide: Callable[[RunDir | None], RunDir | None]
) -> RunDir | None:
    if not process_info.under_agent:
        return decide(None)
    from runner.distributed.rank_rendezvous import broadcast_decision

    return broadcast_decision(process_info, decide)


def set_devices(process_info: ProcessInfo, composition: Composition) -> list[Problem]:
    """Write the number of devices that the process starter has set into the config.

    Args:
        process_info: ranks and devices as set by torchrun or srun.
        composition: the composition whose config is modified.

    Returns:
        A problem for each setting that contradicts it.
    """
    if not process_info.under_agent:
        return []
    config = composition.config
    problems: list[Problem] = []
    if of_all_folds(config):
        text = (
            f"folds need a single process, but {process_info.starter} has started {process_info.world_size}."
        )
        remedy = (
            f"Omit {process_info.starter}; hardware.devices={process_info.local_world_size} gives each fold "
            "that many devices."
        )
        problems.append(Problem("folds", text, "incompatible", remedy))
    started = {
        "hardware.devices": process_info.local_world_size,
        "hardware.num_nodes": process_info.num_nodes,
    }
    for key, number in started.items():
        wanted = OmegaConf.select(config, key)
        if key in composition.explicit and wanted not in (number, "all"):
            text = (
                f"{key}={wanted}, but {process_info.starter} has started {process_info.world_size} "
                f"processes, {process_info.local_world_size} per machine."
            )
            problems.append(Problem(key, text, "incompatible", f"Omit {key}, or start as many."))
        if number > 1 or wanted is not None:
            OmegaConf.update(config, key, number, force_add=True)
    kind = OmegaConf.select(config, "launcher.kind")
    if kind != "local":
        text = f"launcher={kind} would have no effect: {process_info.starter} starts the workers here."
        remedy = f"Omit it, or run the command without {process_info.starter}."
        problems.append(Problem("launcher", text, "no_effect", remedy))
    return problems
