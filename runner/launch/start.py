"""From a command to a run directory, which exactly one process creates even if several were started."""

from __future__ import annotations

import sys
from collections.abc import Callable

from omegaconf import OmegaConf

from runner.config.checks.check import check_config
from runner.config.checks.folds import of_all_folds
from runner.config.checks.no_effect import lr_finder_problems, single_run_problems
from runner.config.composition import Composition
from runner.config.diff import comparable_values
from runner.config.plain import to_plain, to_yaml
from runner.distributed.process_info import ProcessInfo
from runner.errors import ConfigError, Problem
from runner.launch.local import prepare
from runner.launch.node_rendezvous import meet
from runner.launch.resume import earlier_run, go_on, goes_on
from runner.run.directory import RunDir
from runner.run.format import read_stored_config
from runner.run.status import read_status

__all__ = ["begin", "begin_again", "fit_to", "joins_others"]

OWN = ("run.root",)
"""Keys that may differ between machines: a shared folder can have a different path on each."""


def begin(compose: Callable[[], Composition], command: list[str]) -> RunDir | None:
    """Returns the checked and written run directory of a command. With ``resume=auto`` it may be an existing
    one; None, with a message, if that has no work left.

    Under ``torchrun`` or ``srun`` the first rank composes and writes; the others wait and receive the same
    directory. After a restart by torchrun it is the existing directory, and the ranks resume from its last
    checkpoint.

    Raises:
        ConfigError: contains every error in the config.
    """
    process_info = ProcessInfo.here()

    def composed() -> Composition:
        composition = compose()
        misfits = fit_to(process_info, composition)
        idle = [*single_run_problems(composition), *lr_finder_problems(composition)]
        if problems := [*misfits, *check_config(composition), *idle]:
            raise ConfigError(problems)
        return composition

    def ready(composition: Composition) -> RunDir | None:
        for note in composition.notes:
            print(note, file=sys.stderr)
        earlier = earlier_run(composition) if goes_on(composition) else None
        if earlier is not None:
            return earlier if go_on(earlier, composition) else None
        return prepare(composition, command)

    def make(before: RunDir | None) -> RunDir | None:
        return ready(composed()) if before is None else before

    if process_info.under_agent:
        return in_group(process_info, make)
    composition = composed()
    meeting = meet(composition.config)
    if meeting is None:
        return ready(composition)
    run = meeting.decide(lambda: ready(composition))
    if run is not None and not meeting.is_first and read_status(run).state == "created":
        compare_with_first(run, composition, meeting.endpoint)
        print(f"this machine joins {run.path}, created by the one at {meeting.endpoint}", file=sys.stderr)
    return run


def compare_with_first(run: RunDir, composition: Composition, endpoint: str) -> None:
    """
    Raises:
        ConfigError: the command on this machine differs from that on the first.
    """
    theirs = comparable_values(OmegaConf.to_container(read_stored_config(run.config_path)))
    ours = comparable_values(
        OmegaConf.to_container(OmegaConf.create(to_yaml(to_plain(composition.config, []))))
    )
    different = [
        key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key) and key not in OWN
    ]
    if different:
        raise ConfigError(
            Problem(
                key,
                f"{key} is {ours.get(key)} here and {theirs.get(key)} on the machine at {endpoint}.",
                "incompatible",
                "Give the same command on each.",
            )
            for key in different
        )


def begin_again(choose: Callable[[], RunDir | None]) -> RunDir | None:
    """An existing run, or None if it has no work left; under ``torchrun`` the first rank chooses."""
    return in_group(ProcessInfo.here(), lambda before: choose() if before is None else before)


def joins_others(run: RunDir) -> bool:
    """Whether this machine joins a run that another machine has just started."""
    meeting = None if ProcessInfo.here().under_agent else meet(read_stored_config(run.config_path))
    return meeting is not None and not meeting.is_first


def in_group(process_info: ProcessInfo, decide: Callable[[RunDir | None], RunDir | None]) -> RunDir | None:
    if not process_info.under_agent:
        return decide(None)
    from runner.distributed.rank_rendezvous import broadcast_decision

    return broadcast_decision(process_info, decide)


def fit_to(process_info: ProcessInfo, composition: Composition) -> list[Problem]:
    """Writes the number of devices that the process starter has set into the config.

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
                f"{key}={wanted}, but {process_info.starter} has started {process_info.world_size} processes, "
                f"{process_info.local_world_size} per machine."
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
