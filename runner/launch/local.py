"""Creates a run directory from a composition and executes it, in this process or in several."""

from __future__ import annotations

import shutil
from typing import Any

from runner.config.changed import changed_settings
from runner.config.checks.folds import of_all_folds
from runner.config.composition import Composition
from runner.config.plain import to_plain
from runner.config.trust import write_config
from runner.distributed.process_group import process_group_member
from runner.distributed.process_info import ProcessInfo
from runner.errors import RunInUseError, UserError
from runner.launch.resume import fingerprint
from runner.run.directory import FOLDS, RunDir, run_name
from runner.run.files import cannot_write
from runner.run.format import read_stored_config
from runner.run.lock import release_lock
from runner.run.provenance import write_provenance
from runner.run.status import has_trained, is_untouched, write_status

__all__ = ["launch", "prepare"]


def prepare(composition: Composition, command: list[str] | None = None) -> RunDir:
    """Write the run directory of a checked composition.

    Args:
        composition: the checked config and how it was composed.
        command: the command line, recorded in the provenance; None takes that of this process.

    Raises:
        UserError: the root folder for runs is not writable.
    """
    config = composition.config
    name = config.run.name
    if not name:
        choices = composition.choices
        name = run_name(choices.get("model", "model"), choices.get("data", "data"))
    run = RunDir.create(config.run.root, name)
    try:
        if of_all_folds(config):
            (run.path / FOLDS).mkdir()
        write_config(run.path, to_plain(config, []))
        write_provenance(
            run,
            command,
            seed=config.seed,
            choices=composition.choices,
            automatic=composition.automatic,
            changed=changed_settings(composition),
            fingerprint=fingerprint(composition),
        )
        write_status(run, state="created")
    except OSError as error:
        raise UserError(cannot_write(run.config_path, error)) from error
    return run


def launch(run: RunDir) -> dict[str, Any] | None:
    """Execute the run with its launcher.

    Within an existing process group this process becomes one of its ranks.

    Returns:
        The run's results; None if the run continues on a cluster and this command does not wait for it.

    Raises:
        UserError: invalid input. If it was detected before the first step of a new run, the directory is
            removed.
        RunnerError: any other failure; the run's status records the same reason.
    """
    is_new = is_untouched(run)
    try:
        return start(run)
    except RunInUseError:
        raise  # the directory belongs to the other process
    except UserError:
        if is_new and not has_trained(run) and not ProcessInfo.here().under_agent:
            shutil.rmtree(run.path, ignore_errors=True)
        raise
    finally:
        release_lock(run)


def start(run: RunDir) -> dict[str, Any] | None:
    """Execute the run without cleaning up; see `launch`."""
    from omegaconf import OmegaConf

    from runner.launch import elastic

    process_info = ProcessInfo.here()
    config = read_stored_config(run.config_path)
    if of_all_folds(config):
        from runner.launch.folds import launch_folds

        return launch_folds(run, config)
    if process_info.under_agent:
        from runner.tracking import start as start_mirror
        from runner.training.worker import execute

        with process_group_member(run, process_info):
            return execute(run, mirror=start_mirror)
    kind = OmegaConf.select(config, "launcher.kind")
    if kind in ("slurm", "ray"):
        release_lock(run)  # the worker on the cluster acquires it
    if kind == "slurm":
        from runner.launch import slurm

        return slurm.launch(run, config)
    if kind == "ray":
        from runner.launch import ray

        return ray.launch(run, config)
    if elastic.needs_agent(config):
        return elastic.launch(run, config)
    from runner.tracking import start as start_mirror
    from runner.training.worker import execute

    return execute(run, mirror=start_mirror)
