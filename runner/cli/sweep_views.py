"""``runner sweep best|show|list``: the best config of a sweep, its trials, and the list of sweeps."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

WORDS = ("best", "show", "list")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the options of the views."""
    parser.add_argument("--output", metavar="FILE", help="for `sweep best`: write the config there")
    parser.add_argument("--json", action="store_true", help="for `sweep show`: one JSON object, for programs")


def is_view(words: list[str]) -> bool:
    """Return whether the words of a command line select a view."""
    return bool(words) and words[0] in WORDS


def reject_options(args: Namespace) -> None:
    """Reject options that only apply to another view.

    Raises:
        UserError: an option would have no effect.
    """
    from runner.errors import UserError

    for option, word in (("output", "best"), ("json", "show")):
        if getattr(args, option) and args.overrides[:1] != [word]:
            raise UserError(f"--{option} belongs to `runner sweep {word}`.")


def run(args: Namespace) -> int:
    """Run the view given by the first word of ``args.overrides``; return the exit code."""
    from runner.errors import UserError
    from runner.sweep.directory import find_sweep
    from runner.sweep.sweep_summary import read_record

    word, *rest = args.overrides
    if len(rest) > (word != "list"):
        takes = "no further word" if word == "list" else "one sweep"
        raise UserError(f"`runner sweep {word}` takes {takes}, got {' '.join(rest)}.")
    if word == "list":
        return list_sweeps(args.root)
    record = read_record(find_sweep(rest[0] if rest else "latest", args.root))
    return best(record, args.output) if word == "best" else show(record, args.json)


def list_sweeps(root: str) -> int:
    """Print all sweeps in a folder; return the exit code."""
    from runner.cli.show import console
    from runner.sweep import directory
    from runner.sweep.report.tables import sweeps_table
    from runner.sweep.sweep_summary import read_record

    sweeps = directory.list_sweeps(root)
    if not sweeps:
        print(f"There are no sweeps in {root}. `runner sweep` starts one.")
        return 0
    console().print(sweeps_table([read_record(sweep) for sweep in sweeps]))
    return 0


def best(record: Any, output: str | None) -> int:
    """Print the config of the best trial, or write it to a file; return the exit code."""
    import sys
    from pathlib import Path

    from runner.errors import UserError
    from runner.sweep.best import best_config

    trial = record.best()
    if trial is None:
        raise UserError(
            f"no trial of {record.sweep.name} is complete yet. `runner sweep show {record.sweep.name}` "
            "lists them."
        )
    text = best_config(record, trial)
    if output is None:
        sys.stdout.write(text)
        return 0
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    print(f"{path}: trial {trial.number} of {record.sweep.name}. `runner train {path}` runs it.")
    return 0


def show(record: Any, as_json: bool) -> int:
    """Print the trials; return the exit code."""
    from runner.sweep.report.next import next_commands
    from runner.sweep.report.tables import states_line, trials_table

    if as_json:
        import json

        print(json.dumps(record.as_dict(), indent=2))
        return 0
    from runner.cli.show import console
    from runner.report.tables import next_commands as commands

    out = console()
    out.print(f"{record.sweep.name} {states_line(record)}", markup=False)
    if record.trials:
        out.print(trials_table(record))
    out.print(
        commands([entry for entry in next_commands(record) if not entry[0].startswith("runner sweep show")])
    )
    return 0
