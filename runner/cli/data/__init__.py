"""``runner data list|prepare|inspect|verify``: a data set looked at before it is trained on."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_allow_package, add_overrides

SUMMARY = "list data sets; download one, show its facts and samples, find its broken files"

ACTIONS = {
    "list": "the data sets there are, and the task each poses",
    "prepare": "download and unpack, with checksum",
    "inspect": "sizes, classes, mean and deviation; a picture of samples",
    "verify": "read every sample and name those that are broken",
}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS)
    add_overrides(parser)
    add_allow_package(parser)
    parser.add_argument(
        "--output", metavar="FILE.png", help="inspect: where the picture goes (samples_NAME.png)"
    )
    parser.add_argument(
        "--set-aside",
        action="store_true",
        help="verify: list broken files in the folder, so that training leaves them out",
    )
    parser.add_argument("--json", action="store_true", help="inspect, verify: JSON, for programs")
    lines = "\n".join(f"  {name:<9}{text}" for name, text in ACTIONS.items())
    parser.epilog = (
        f"actions:\n{lines}\n\n`runner data inspect digits` is short for `runner data inspect data=digits`."
    )


def run(args: Namespace) -> int:
    if args.action == "list":
        from runner.cli.list import print_group
        from runner.config.groups import find_groups

        print_group("data", find_groups(args.config_dir)["data"])
        return 0
    from runner.cli.arguments import allow_packages, split_experiment
    from runner.cli.data.node import data_module

    allow_packages(args.allow_package)
    experiment, words = split_experiment(args.overrides)
    overrides = [word if "=" in word or word.startswith("~") else f"data={word}" for word in words]
    data = data_module(overrides, experiment, args.config_dir)
    if args.action == "prepare":
        data.prepare_data()
        print("The data is here and as it should be.")
        return 0
    if args.action == "inspect":
        from runner.cli.data.inspect import inspect

        return inspect(data, args.output, args.json)
    from runner.cli.data.verify import verify

    return verify(data, args.set_aside, args.json)
