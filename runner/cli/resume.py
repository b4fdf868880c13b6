"""``runner resume RUN [key=value …]``: a worker again on the same directory."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli.arguments import add_allow_package, add_overrides, add_run

if TYPE_CHECKING:
    from runner.run.directory import RunDir

SUMMARY = "go on with a run where it stopped"

EXAMPLES = """\
examples:
  runner resume latest                            as if it had not been interrupted, bit for bit
  runner resume latest data.num_workers=4         where and how it runs may change
  runner resume latest trainer.max_epochs=40      longer; also for a run that is finished
  runner resume latest optimizer.lr=1e-4          from here on; what would make the result meaningless is refused"""


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
    """The run, with other values where there are any; None, told, when nothing is left to do.

    Raises:
        UserError: it is under way, or cannot go on with these values.
    """
    from runner.cli.run_paths import with_absolute_paths
    from runner.config.check import check
    from runner.config.compose import compose
    from runner.launch.resume import go_on
    from runner.launch.start import joins_others

    if joins_others(run):
        return run
    composition = None
    if overrides:
        composition = compose(overrides, run.config_path, config_dirs)
        check(with_absolute_paths(composition, run))
    return run if go_on(run, composition) else None
