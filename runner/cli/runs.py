"""``runner runs``: lists runs with their state and results."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any, get_args

from runner.cli import completion
from runner.cli.arguments import add_root, set_completer

if TYPE_CHECKING:
    from runner.run.state import RunState

SUMMARY = "list the runs"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_root(parser)
    parser.add_argument("--last", type=int, metavar="N", default=20, help="only the newest N; 0 for all (20)")
    text = "only those in this state: created, running, finished, pruned, failed, interrupted, lost, damaged"
    set_completer(parser.add_argument("--state", help=text), completion.states)
    parser.add_argument("--trials", action="store_true", help="include trials of sweeps and single folds")
    parser.add_argument("--json", action="store_true", help="print a JSON list")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.errors import UserError
    from runner.run.directory import is_fold, is_trial, list_runs
    from runner.run.state import RunState
    from runner.run.status import State
    from runner.suggest import did_you_mean

    if args.state and args.state not in get_args(State):
        raise UserError(f"--state {args.state}: unknown state. {did_you_mean(args.state, get_args(State))}")
    directories = list_runs(args.root)
    sweeps = sorted({run.path.parents[1].name for run in directories if is_trial(run)})
    if not args.trials:
        directories = [run for run in directories if not is_trial(run) and not is_fold(run)]
    if args.state:
        directories = [run for run in directories if _state_of(RunState(run, tolerant=True)) == args.state]
    newest = directories[-args.last :] if args.last > 0 else directories
    if args.json:
        import json

        print(json.dumps([_as_dict(RunState(run, tolerant=True)) for run in newest], indent=2))
        return 0
    if not newest:
        state = f" {args.state}" if args.state else ""
        print(f"There are no{state} runs in {args.root}. `runner train` starts one.")
        _print_sweeps(sweeps, args.trials)
        return 0
    from runner.cli.show import console
    from runner.report.summary import summarize
    from runner.report.tables import runs_table

    console().print(runs_table([summarize(run) for run in newest]))
    if len(newest) < len(directories):
        print(f"The newest {len(newest)} of {len(directories)}; `runner runs --last 0` lists all.")
    _print_sweeps(sweeps, args.trials)
    return 0


def _print_sweeps(names: list[str], are_listed: bool) -> None:
    if names and not are_listed:
        count = f"{len(names)} sweep" + ("s" if len(names) > 1 else "")
        print(f"And {count}: `runner sweep list` lists them, `runner runs --trials` includes their trials.")


def _as_dict(run: RunState) -> dict[str, Any]:
    from dataclasses import asdict

    path = str(run.directory.path)
    damage = {"state": "damaged", "reason": run.damage} if run.damage is not None else {}
    return {"name": run.name, "path": path} | asdict(run.status) | damage | {"results": run.results}


def _state_of(run: RunState) -> str:
    return "damaged" if run.damage is not None else run.status.state
