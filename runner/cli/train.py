"""``runner train``: composes and checks a config, creates the run directory, and starts a worker."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runner.cli.arguments import add_allow_package, add_overrides

if TYPE_CHECKING:
    from runner.config.composition import Composition

SUMMARY = "train a model, then test its best checkpoint"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_overrides(parser)
    add_allow_package(parser)
    parser.add_argument(
        "-m",
        "--multirun",
        action="store_true",
        help="one run for every combination of the values: lr=0.1,0.01",
    )
    parser.add_argument("--cfg", choices=("job", "hydra", "all"), help="print the composed config and exit")
    parser.add_argument("--resolve", action="store_true", help="with --cfg: resolve interpolations")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.arguments import allow_packages, split_experiment

    allow_packages(args.allow_package, args.trust)
    experiment, overrides = split_experiment(args.overrides)
    if args.cfg:
        return _print_config(args.cfg, overrides, experiment, args)
    if args.multirun:
        from runner.cli.group import reject_in_group
        from runner.cli.multirun import multirun

        reject_in_group("runner train -m")
        return multirun(overrides, experiment, args.config_dir)
    from runner.cli.arguments import reject_misspelled
    from runner.launch.run_config import compose_with_paths

    def compose(chosen: Sequence[str]) -> Composition:
        return compose_with_paths([*chosen, *overrides], experiment, args.config_dir)

    reject_misspelled(lambda: compose(()))
    from runner.cli.execution import execute
    from runner.launch.start import prepare_run

    run = prepare_run(compose, ["runner", *args.words])
    return 0 if run is None else execute(run)


def _print_config(part: str, overrides: list[str], experiment: str | None, args: Namespace) -> int:
    from omegaconf import OmegaConf

    from runner.cli.config.print_config import print_config
    from runner.config.compose import compose
    from runner.errors import ConfigError

    composition = compose(overrides, experiment, args.config_dir, multirun=True)
    if composition.problems:
        raise ConfigError(composition.problems)
    if part != "job":
        from runner.cli.multirun import hydra_node

        print_config(OmegaConf.create({"hydra": hydra_node(overrides)}))
    if part != "hydra":
        print_config(composition.config, resolve=args.resolve)
    return 0
