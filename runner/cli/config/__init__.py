"""``runner config show|check|schema``: shows or checks a composed config, or lists the keys of its nodes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli.arguments import add_overrides, add_root, add_trust

if TYPE_CHECKING:
    from runner.config.composition import Composition

SUMMARY = "show or check a config, or list the valid keys"

ACTIONS = {
    "show": "print the config that a command line composes, or that of a RUN",
    "check": "report all problems of the config, without running it",
    "schema": "list every key with type, value and default",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("action", choices=ACTIONS)
    add_overrides(parser)
    add_root(parser)
    add_trust(parser)
    text = "with show: draw the learning rate over the training into this PNG file, without training"
    parser.add_argument("--plot-schedule", metavar="FILE", help=text)
    parser.add_argument(
        "--steps", type=int, default=1000, help="total number of training steps to draw (1000)"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of YAML or a table")
    lines = "\n".join(f"  {name:<8}{text}" for name, text in ACTIONS.items())
    parser.epilog = f"actions:\n{lines}"


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages

    allow_packages([], args.trust)
    if args.action == "schema":
        from runner.cli.config.schema import print_schema

        nodes = [word for word in args.overrides if _is_name(word)]
        print_schema(
            [word for word in args.overrides if not _is_name(word)], nodes, args.config_dir, args.json
        )
        return 0
    composition = _compose(args)
    if args.action == "check":
        from runner.cli.arguments import reject_misspelled
        from runner.config.groups import GROUPS

        reject_misspelled(lambda: composition)
        from runner.config.checks.check import check

        check(composition)
        choices = [(group, composition.choices.get(group)) for group in GROUPS]
        chosen = " ".join(f"{group}={option}" for group, option in choices if option)
        print(f"The config is valid: {chosen or 'that of a run'}.")
        return 0
    from runner.cli.config.print_config import print_config
    from runner.errors import ConfigError

    if composition.problems:
        raise ConfigError(composition.problems)
    if args.plot_schedule:
        from runner.cli.config.schedule import plot_schedule

        plot_schedule(composition, args.steps, args.plot_schedule)
        return 0
    print_config(composition.config, as_json=args.json)
    return 0


def _compose(args: Namespace) -> Composition:
    """Compose the overrides, with an experiment's file or the config of a run if one is given first."""
    from runner.cli.arguments import split_experiment
    from runner.launch.run_config import compose_with_paths
    from runner.run.directory import find_run

    experiment, overrides = split_experiment(args.overrides)
    if overrides and _is_name(overrides[0]):
        return compose_with_paths(
            overrides[1:], find_run(overrides[0], args.root).config_path, args.config_dir
        )
    return compose_with_paths(overrides, experiment, args.config_dir)


def _is_name(word: str) -> bool:
    return "=" not in word and not word.startswith("~") and not word.endswith((".yaml", ".yml"))
