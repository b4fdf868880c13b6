"""``runner find-lr``: a learning-rate range test, saved as a run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_allow_package, add_overrides

SUMMARY = "learning-rate range test: a plot, and suggested learning rates"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_overrides(parser)
    add_allow_package(parser)


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages, reject_misspelled, split_experiment
    from runner.launch.run_config import compose_with_paths

    allow_packages(args.allow_package, args.trust)
    experiment, overrides = split_experiment(args.overrides)
    composition = compose_with_paths([*overrides, "debug.kind=find_lr"], experiment, args.config_dir)
    reject_misspelled(lambda: composition)
    composition.config.debug.kind = "find_lr"  # overrides the debug node of an experiment
    from runner.config.checks.check import check
    from runner.launch.local import launch, prepare
    from runner.launch.node_rendezvous import reject_nodes
    from runner.report import console

    check(composition)
    reject_nodes(composition.config, "runner find-lr")
    directory = prepare(composition, ["runner", *args.words])
    results = launch(directory)
    if results is None:  # submitted to a cluster without waiting for it
        return 0
    console.range_test(directory, composition, results, args.overrides)
    return 0
