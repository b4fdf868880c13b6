"""``runner resume RUN``: a worker again on the same directory."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_allow_package, add_run

SUMMARY = "go on with a run where it stopped"


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    add_allow_package(parser)


def run(args: Namespace) -> int:
    from runner.cli.arguments import allow_packages
    from runner.cli.execution import execute
    from runner.errors import UserError
    from runner.run.directory import find_run
    from runner.run.status import read_status

    found = find_run(args.run_ref, args.root)
    status = read_status(found)
    if status.state == "running":
        raise UserError(
            f"{found.name} is running (process {status.pid} on {status.host}). Stop it first, or let it end."
        )
    if status.state == "finished":
        print(
            f"{found.name} is finished. `runner train {found.config_path} trainer.max_epochs=N` trains it anew, longer."
        )
        return 0
    allow_packages(args.allow_package)
    return execute(found)
