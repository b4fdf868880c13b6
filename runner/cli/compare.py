"""``runner compare RUN RUN…``: compares the configs and results of runs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_run

SUMMARY = "compare the configs and results of runs"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser, nargs="+")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.show import console
    from runner.errors import UserError
    from runner.report.tables import compare_table
    from runner.run.directory import find_run

    runs = [find_run(reference, args.root) for reference in args.run_ref]
    if len(set(runs)) < 2:
        raise UserError("compare takes two runs or more, all different. `runner runs` lists them.")
    console().print(compare_table(runs))
    return 0
