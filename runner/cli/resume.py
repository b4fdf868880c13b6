"""``runner resume RUN [key=value …]``: continues a run in its directory."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli.arguments import add_allow_package, add_overrides, add_run

if TYPE_CHECKING:
    from runner.run.directory import RunDir

SUMMARY = "resume a run where it stopped"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser)
    add_overrides(parser, experiment=False)
    add_allow_package(parser)


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages
    from runner.cli.execution import execute
    from runner.launch.start import choose_run
    from runner.run.directory import find_run

    allow_packages(args.allow_package, args.trust)
    run = choose_run(lambda: startable(find_run(args.run_ref, args.root), args.overrides, args.config_dir))
    return 0 if run is None else execute(run)


def startable(run: RunDir, overrides: list[str], config_dirs: list[str]) -> RunDir | None:
    """Prepare the run for resuming, with changed values if any.

    Returns:
        The run; None, after a message, if it has no work left.

    Raises:
        UserError: the run is still running, or cannot be resumed with these values.
    """
    from runner.config.checks.check import check
    from runner.config.compose import compose
    from runner.config.trust import reject_untrusted
    from runner.launch.resume import prepare_resume
    from runner.launch.run_config import with_absolute_paths
    from runner.launch.start import joins_other_machine
    from runner.run.format import read_stored_config

    reject_untrusted(run.path, read_stored_config(run.config_path))  # before its rendezvous is used
    if joins_other_machine(run):
        return run
    composition = None
    if overrides:
        composition = compose(overrides, run.config_path, config_dirs)
        check(with_absolute_paths(composition, run))
    return run if prepare_resume(run, composition) else None
