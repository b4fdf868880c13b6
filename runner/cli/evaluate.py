"""``runner evaluate RUN``: metrics of a checkpoint on a split."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli import completion
from runner.cli.arguments import add_allow_package, add_checkpoint, add_run, set_completer

SUMMARY = "metrics of a run's checkpoint on a split, optionally of other data"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(parser)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="values that differ from the run's: data.root=other/photos",
    )
    # Not `choices`: the splits depend on the data set, whose error message lists them.
    split = parser.add_argument("--split", default="test", help="train, val or test (test)")
    set_completer(split, completion.splits)
    add_checkpoint(parser)
    add_allow_package(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages
    from runner.cli.data.node import changed_values
    from runner.cli.show import console, hush_libraries, table
    from runner.inference.evaluate import evaluate
    from runner.run.directory import find_run

    hush_libraries()
    allow_packages(args.allow_package, args.trust)
    evaluated = find_run(args.run_ref, args.root)
    values = changed_values(args.overrides, evaluated.config_path)
    metrics = evaluate(evaluated, args.split, args.checkpoint, values)
    if args.json:
        import json

        print(json.dumps(metrics, indent=2))
        return 0
    rows = [(name, f"{value:.4g}") for name, value in metrics.items()]
    console().print(
        table("metric", "value", title=f"{evaluated.name}, {args.checkpoint} checkpoint", rows=rows)
    )
    return 0
