"""``runner sweep``: a search over configs, and ``runner sweep best SWEEP``, what it found."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_allow_package, add_overrides, add_root

SUMMARY = "search over configs; goes on where it was when started again"

EXAMPLES = """\
examples:
  runner sweep model=mlp data=digits 'optimizer.lr=tag(log,interval(1e-4,1e-1))' sweep.num_trials=50
  runner sweep model=mlp,logistic 'model.hidden_sizes=choice([64],[128,64])' sweep=grid
  runner sweep sweep=asha sweep.num_workers=4 'optimizer.lr=tag(log,interval(1e-4,1e-1))'
  runner sweep best latest > best.yaml                the best trial's config, for `runner train best.yaml`

The same command goes on where the sweep was, up to sweep.num_trials trials in all.
`runner config show sweep` tells every setting."""


def add_arguments(parser: ArgumentParser) -> None:
    add_overrides(parser)
    add_allow_package(parser)
    add_root(parser)
    parser.epilog = EXAMPLES


def run(args: Namespace) -> int:
    from runner.cli.arguments import allow_packages, split_experiment

    allow_packages(args.allow_package)
    if args.overrides and args.overrides[0] == "best":
        return _print_best(args.overrides[1:], args.root)
    from runner.cli.show import console
    from runner.report.tables import next_commands
    from runner.sweep.request import make_request
    from runner.sweep.run import Sweeping
    from runner.sweep.view import SweepView

    experiment, overrides = split_experiment(args.overrides)
    out = console()
    views: list[SweepView] = []

    def make_view(_sweep, book) -> SweepView:
        views.append(SweepView(book, sweeping.metric, out))
        return views[-1]

    sweeping = Sweeping(
        make_request(overrides, experiment, args.config_dir), ["runner", *args.words], make_view
    )
    try:
        book = sweeping.run()
    finally:
        for view in views:
            view.close()
    best = book.best()[0]
    trial = _short(sweeping.sweep.trial(best.number).path)
    states = ", ".join(f"{count} {state}" for state, count in book.counts().items())
    print(f"\n{states}. Best: trial {best.number}, {sweeping.metric} {best.value:.6g}")
    for key, value in best.params.items():
        print(f"  {key}={value}")
    commands = [
        (f"runner train {_short(sweeping.sweep.best_path)}", "train the best config again"),
        (f"runner evaluate {trial}", "the best trial's metrics"),
    ]
    out.print(next_commands(commands))
    return 0


def _short(path) -> str:
    import os

    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


def _print_best(words: list[str], root: str) -> int:
    import sys

    from runner.errors import UserError
    from runner.sweep.directory import find_sweep

    if len(words) > 1:
        raise UserError(f"`runner sweep best` takes one sweep, got {' '.join(words)}.")
    sweep = find_sweep(words[0] if words else "latest", root)
    if not sweep.best_path.is_file():
        raise UserError(f"no trial of {sweep.name} has come to its end yet.")
    sys.stdout.write(sweep.best_path.read_text(encoding="utf-8"))
    return 0
