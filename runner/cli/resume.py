"""``runner resume RUN``: a worker again on the same directory."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli.arguments import add_allow_package, add_run

if TYPE_CHECKING:
    from runner.run.directory import RunDir

SUMMARY = "go on with a run where it stopped"


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    add_allow_package(parser)


def run(args: Namespace) -> int:
    from runner.cli.arguments import allow_packages
    from runner.cli.execution import execute
    from runner.launch.begin import begin_again
    from runner.run.directory import find_run

    allow_packages(args.allow_package)
    found = begin_again(lambda: startable(find_run(args.run_ref, args.root)))
    return 0 if found is None else execute(found)


def startable(found: RunDir) -> RunDir | None:
    """The run, when there is something left to do and nobody else does it."""
    from runner.errors import UserError
    from runner.run.status import read_status

    status = read_status(found)
    if status.state == "running":
        raise UserError(
            f"{found.name} is running (process {status.pid} on {status.host}). Stop it first, or let it end."
        )
    if status.state == "finished":
        print(
            f"{found.name} is finished. `runner train {found.config_path} trainer.max_epochs=N` trains it anew, longer."
        )
        return None
    return found
