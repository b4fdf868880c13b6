"""``runner sweep``: a hyperparameter search."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli import completion, sweep_views
from runner.cli.arguments import add_allow_package, add_overrides, add_root, set_completer

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from runner.sweep.directory import SweepDir
    from runner.sweep.run import MakeView, Sweeping
    from runner.sweep.trial_queue import TrialQueue

SUMMARY = "search hyperparameters; the same command resumes the sweep"

NOTE = """\
actions:
  best    print the config of the best trial
  show    print the trials
  list    list all sweeps

The same command resumes the sweep, up to a total of sweep.num_trials trials.
`runner config schema sweep` lists every setting."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    set_completer(add_overrides(parser), completion.sweep_words)
    add_allow_package(parser)
    add_root(parser)
    sweep_views.add_arguments(parser)
    join = parser.add_argument(
        "--join",
        metavar="SWEEP",
        help="join a sweep that was started elsewhere, by its folder or name; on a machine without access "
        "to the folder, by its name and sweep.storage=URL",
    )
    set_completer(join, completion.sweeps)
    parser.epilog = NOTE


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages

    allow_packages(args.allow_package, args.trust)
    sweep_views.reject_options(args)
    if sweep_views.is_view(args.overrides):
        return sweep_views.run(args)
    from runner.cli.show import console
    from runner.report.tables import next_commands as command_list
    from runner.sweep.report.next import next_commands
    from runner.sweep.sweep_summary import read_record
    from runner.sweep.view import SweepView

    out = console()
    views: list[SweepView] = []

    def make_view(_sweep: SweepDir, queue: TrialQueue) -> SweepView:
        max_epochs = sweeping.plain["trainer"].get("max_epochs")
        views.append(SweepView(queue, list(sweeping.request.objectives), out, max_epochs))
        return views[-1]

    sweeping = _sweeping(args, make_view)
    try:
        queue = sweeping.run()
    finally:
        for view in views:
            view.close()
    if not queue.best():
        out.print("no trial is complete yet.")
        return 0
    best = queue.best()[0]
    states = ", ".join(f"{count} {state}" for state, count in queue.counts().items())
    print(f"\n{states}. Best: trial {best.number}, {_values(sweeping, best)}")
    for key, value in best.params.items():
        print(f"  {key}={value}")
    commands = next_commands(read_record(sweeping.sweep))
    out.print(command_list(commands))
    return 0


def _sweeping(args: Namespace, make_view: MakeView) -> Sweeping:
    from runner.cli.arguments import split_experiment
    from runner.errors import UserError
    from runner.sweep.join import join_request
    from runner.sweep.request import make_request
    from runner.sweep.run import Sweeping

    experiment, overrides = split_experiment(args.overrides)
    command = ["runner", *args.words]
    if args.join is None:
        return Sweeping(make_request(overrides, experiment, args.config_dir), command, make_view)
    if experiment or args.config_dir:
        raise UserError("--join uses the experiment and config folders of the sweep: omit them.")
    request, sweep = join_request(args.join, overrides, args.root)
    return Sweeping(request, command, make_view, sweep, joins=True)


def _values(sweeping: Sweeping, best: FrozenTrial) -> str:
    names = sweeping.request.objectives
    return ", ".join(f"{name} {value:.6g}" for name, value in zip(names, best.values, strict=True))
