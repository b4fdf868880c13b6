"""``runner data list|prepare|inspect|verify``: inspects and prepares data sets without training."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_allow_package, add_overrides

SUMMARY = "list, download, inspect or verify data sets"

ACTIONS = {
    "list": "list the data sets with their tasks",
    "prepare": "download, verify the checksum and unpack",
    "inspect": "show sizes, classes and statistics, and save an image of samples",
    "verify": "read every sample and list broken ones",
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("action", choices=ACTIONS)
    add_overrides(parser)
    add_allow_package(parser)
    parser.add_argument(
        "--output", metavar="FILE.png", help="inspect: file for the image of samples (samples_NAME.png)"
    )
    parser.add_argument(
        "--set-aside",
        action="store_true",
        help="verify: save a list of broken files in the folder, which are then excluded from training",
    )
    parser.add_argument("--json", action="store_true", help="inspect, verify: JSON, for programs")
    lines = "\n".join(f"  {name:<9}{text}" for name, text in ACTIONS.items())
    parser.epilog = (
        f"actions:\n{lines}\n\n`runner data inspect digits` is short for `runner data inspect data=digits`."
    )


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.config.groups import find_groups

    if args.action == "list":
        from runner.cli.list import print_group

        print_group("data", find_groups(args.config_dir)["data"])
        return 0
    from runner.cli.arguments import allow_packages, split_experiment
    from runner.cli.data.node import data_module

    allow_packages(args.allow_package, args.trust)
    options = find_groups(args.config_dir)["data"]
    words = args.overrides
    experiment, words = (None, words) if words and words[0] in options else split_experiment(words)
    overrides = [word if "=" in word or word.startswith("~") else f"data={word}" for word in words]
    data = data_module(overrides, experiment, args.config_dir)
    if args.action == "prepare":
        data.prepare_data()
        print("The data is complete and verified.")
        return 0
    if args.action == "inspect":
        from runner.cli.data.inspect import inspect

        code = inspect(data, args.output, args.json)
        if not args.json:
            print(f"Train with: {shlex.join(['runner', 'train', *overrides])}")
        return code
    from runner.cli.data.verify import verify

    return verify(data, args.set_aside, args.json)
