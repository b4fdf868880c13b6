"""The argument parser, and arguments shared by several verbs."""

from __future__ import annotations

import argparse
from argparse import ArgumentParser
from typing import NoReturn

from runner.cli import completion
from runner.errors import UserError
from runner.suggest import nearest

__all__ = [
    "VerbParser",
    "add_allow_package",
    "add_checkpoint",
    "add_overrides",
    "add_root",
    "add_run",
    "allow_packages",
    "split_experiment",
]


class VerbParser(argparse.ArgumentParser):
    """Raises ``UserError`` where argparse would print its usage and exit."""

    def __init__(self, **options) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        for word in message.split():
            name = word.partition("=")[0]
            if not name.startswith("-") or name in self._option_string_actions:
                continue
            near = nearest(name, self._option_string_actions, most=1)
            if near:
                message += f". Did you mean {near[0]}?"
        raise UserError(f"{message}\n`{self.prog} --help` shows the usage.")


A_RUN = "a run: its directory, its name or a part of it, an MLflow run id, or `latest`"


def add_run(parser: ArgumentParser, text: str = A_RUN, **options) -> None:
    """Adds the argument RUN (``args.run_ref``), or several with ``nargs``."""
    parser.add_argument("run_ref", metavar="RUN", help=text, **options).completer = completion.runs
    add_root(parser)


def add_root(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--root", metavar="FOLDER", default="runs", help="the folder that keeps the runs (runs)"
    )


def add_overrides(parser: ArgumentParser, experiment: bool = True) -> None:
    """Adds Hydra overrides, optionally preceded by an experiment's file, and ``--config-dir``."""
    text = "a value or a group's option, in Hydra's grammar: model=mlp optimizer.lr=0.01"
    if experiment:
        text += "; an experiment's YAML file may precede them"
    metavar = "[EXPERIMENT.yaml] [key=value …]" if experiment else "key=value"
    action = parser.add_argument("overrides", nargs="*", metavar=metavar, help=text)
    action.completer = completion.experiments_and_overrides if experiment else completion.overrides
    parser.add_argument(
        "--config-dir",
        metavar="FOLDER",
        action="append",
        default=[],
        help="additional folder of config groups, besides ./conf and the built-in one; may be repeated",
    )


def add_checkpoint(parser: ArgumentParser) -> None:
    text = "best by the monitored metric (the default), or the last one"
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help=text)


def split_experiment(words: list[str]) -> tuple[str | None, list[str]]:
    """Splits the words into the experiment's file, if the first word is one, and the overrides."""
    if words and "=" not in words[0] and words[0].endswith((".yaml", ".yml")):
        return words[0], words[1:]
    return None, list(words)


def add_allow_package(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--allow-package",
        metavar="NAME",
        action="append",
        default=[],
        help="allow configs to construct objects from this Python package; may be repeated",
    )


def allow_packages(names: list[str]) -> None:
    """Extends the allow-list of constructors for this process and its children."""
    import os

    from runner.config.build import ENVIRONMENT

    if names:
        before = [name for name in os.environ.get(ENVIRONMENT, "").split(",") if name]
        os.environ[ENVIRONMENT] = ",".join(dict.fromkeys([*before, *names]))
