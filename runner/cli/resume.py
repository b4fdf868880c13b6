"""``runner resume RUN [key=value …]``: continues a run in its directory."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli.arguments import add_allow_package, add_overrides, add_run

if TYPE_CHECKING:
    from runner.run.directory import RunDir

SUMMARY = "resume a run where it stopped"

EXAMPLES = """\
examples:
  runner resume latest                            bit-identical to an uninterrupted run
  runner resume latest data.num_workers=4         execution settings may change
  runner resume latest trainer.max_epochs=40      train longer; also for a finished run
  runner resume latest optimizer.lr=1e-4          for the rest of the training"""


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    add_overrides(parser, experiment=False)
    add_allow_package(parser)
    parser.epilog = EXAMPLES


def run(args: Namespace) -> int:
    from runner.cli.arguments import allow_packages
    from runner.cli.execution import execute
    from runner.launch.start import begin_again
    from runner.run.directory import find_run

    allow_packages(args.allow_package)
    run = begin_again(lambda: startable(find_run(args.run_ref, args.root), args.overrides, args.config_dir))
    return 0 if run is None else execute(run)


def startable(run: RunDir, overrides: list[str], config_dirs: list[str]) -> RunDir | None:
    """Prepares the run for resuming, with changed values if any. Return None, after a message, if nothing is
    left to do.

    Raises:
        UserError: the run is still running, or cannot be resumed with these values.
    """
    from runner.config.checks.check import check
    from runner.config.compose import compose
    from runner.launch.resume import go_on
    from runner.launch.run_config import with_absolute_paths
    from runner.launch.start import joins_others

    if joins_others(run):
        return run
    composition = None
    if overrides:
        composition = compose(overrides, run.config_path, config_dirs)
        check(with_absolute_paths(composition, run))
    return run if go_on(run, composition) else None
