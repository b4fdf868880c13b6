"""The argument parser, and arguments shared by several verbs."""

from __future__ import annotations

import argparse
import re
from argparse import Action, ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from runner.cli import completion
from runner.errors import UserError
from runner.suggest import SYNONYMS, nearest

if TYPE_CHECKING:
    from runner.config.composition import Composition

__all__ = [
    "VerbParser",
    "add_allow_package",
    "add_checkpoint",
    "add_overrides",
    "add_root",
    "add_run",
    "add_trust",
    "allow_packages",
    "reject_misspelled",
    "set_completer",
    "split_experiment",
]


class VerbParser(argparse.ArgumentParser):
    """A parser that raises ``UserError`` where argparse would print its usage and exit."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise the message of argparse, with the nearest option for an unknown one.

        Raises:
            UserError: always.
        """
        choice = INVALID_CHOICE.search(message)
        if choice is not None:
            near = nearest(choice["value"], re.findall(r"'([^']*)'", choice["valid"]), most=1)
            message += f". Did you mean {near[0]}?" if near else ""
        elif message.startswith("unrecognized arguments"):
            message += "".join(self.hint(word.partition("=")[0]) for word in message.split())
        raise UserError(f"{message}\n`{self.prog} --help` shows the usage.")

    def hint(self, name: str) -> str:
        """Return a sentence about an unknown option; empty if there is nothing to suggest."""
        if not name.startswith("-") or name in self._option_string_actions:
            return ""
        if name in OPTION_HINTS:
            return f". {OPTION_HINTS[name]}"
        near = nearest(name, self._option_string_actions, most=1)
        if near:
            return f". Did you mean {near[0]}?"
        keys = SYNONYMS.get(name.strip("-").replace("-", "_"))
        return f". Settings have no dashes: {keys[0]}=VALUE." if keys else ""


INVALID_CHOICE = re.compile(r"invalid choice: '(?P<value>[^']*)' \(choose from (?P<valid>.*)\)")
OPTION_HINTS = {
    "--dry-run": "`runner config check …` checks a command without running it.",
    "--debug": "debug=one_batch trains on one batch; `runner list debug` shows the others.",
    "--resume": "`runner resume RUN` continues a run.",
}
"""Options of other programs → what to type instead."""

A_RUN = "a run: its directory, its name or a part of it, an MLflow run id, or `latest`"


def set_completer(action: Action, completer: Callable[..., list[str]]) -> None:
    """Set the shell completion of an argument. argcomplete reads this attribute, which argparse lacks."""
    action.completer = completer  # type: ignore[attr-defined]


def add_run(parser: ArgumentParser, text: str = A_RUN, **options: Any) -> None:
    """Add the argument RUN (``args.run_ref``), or several with ``nargs``."""
    set_completer(parser.add_argument("run_ref", metavar="RUN", help=text, **options), completion.runs)
    add_root(parser)


def add_root(parser: ArgumentParser) -> None:
    """Add ``--root``."""
    parser.add_argument("--root", metavar="FOLDER", default="runs", help="the folder of the runs (runs)")


def add_overrides(parser: ArgumentParser, experiment: bool = True) -> Action:
    """Add Hydra overrides, optionally preceded by an experiment's file, and ``--config-dir``.

    Returns:
        The argument with the overrides.
    """
    text = "a value or a group's option, in Hydra's grammar: model=mlp optimizer.lr=0.01"
    if experiment:
        text += "; an experiment's YAML file may precede them"
    metavar = "[EXPERIMENT.yaml] [key=value …]" if experiment else "key=value"
    action = parser.add_argument("overrides", nargs="*", metavar=metavar, help=text)
    set_completer(action, completion.experiments_and_overrides if experiment else completion.overrides)
    parser.add_argument(
        "--config-dir",
        metavar="FOLDER",
        action="append",
        default=[],
        help="additional folder of config groups, besides ./conf and the built-in one; may be repeated",
    )
    return action


def add_checkpoint(parser: ArgumentParser) -> None:
    """Add ``--checkpoint``."""
    text = "best by the monitored metric (the default), or the last one"
    parser.add_argument("--checkpoint", choices=("best", "last"), default="best", help=text)


def split_experiment(words: list[str]) -> tuple[str | None, list[str]]:
    """Split the words into the experiment's file, if the first word is one, and the overrides.

    If the first word is a folder or another file, the overrides select the kind of data that it contains.
    """
    if words and "=" not in words[0] and words[0].endswith((".yaml", ".yml")):
        return words[0], words[1:]
    if words and "=" not in words[0] and is_data(Path(words[0]).expanduser()):
        return None, [*data_overrides(words[0], words[1:]), *words[1:]]
    return None, list(words)


def is_data(path: Path) -> bool:
    """Return whether a path exists and is not the directory of a run or sweep."""
    return path.exists() and not any((path / name).is_file() for name in ("config.yaml", "sweep.yaml"))


def data_overrides(path: str, others: list[str]) -> list[str]:
    """Return the overrides for the data in a folder or file, and print the kind of data.

    Args:
        path: the folder or file.
        others: the other words of the command, which may contain what is missing.

    Raises:
        UserError: the kind of data is not recognized, or the command lacks a required setting.
    """
    import sys

    from runner.auto.detect import detect_data
    from runner.config.overrides import spell

    detected = detect_data(Path(path).expanduser())
    missing = detected.missing.partition("=")[0]
    if missing and not any(word.startswith(f"{missing}=") for word in others):
        raise UserError(
            f"{path} is read as data={detected.option}: {detected.reason}. Add {detected.missing}."
        )
    pairs = [word.partition("=") for word in detected.overrides]
    overrides = [f"{key}={spell(value)}" for key, _, value in pairs]
    print(f"{' '.join(overrides)}: {detected.reason}", file=sys.stderr)
    return overrides


def reject_misspelled(compose: Callable[[], Composition]) -> None:
    """Reject misspelled names before torch and Lightning are imported, which takes several seconds.

    Processes of a group started by torchrun or srun compose later, in one of them.

    Raises:
        ConfigError: contains all misspelled names.
    """
    from runner.cli.group import in_group
    from runner.config.checks.spelling import reject_misspelled as reject

    if not in_group():
        reject(compose())


def add_allow_package(parser: ArgumentParser) -> None:
    """Add ``--allow-package`` and ``--trust``."""
    parser.add_argument(
        "--allow-package",
        metavar="NAME",
        action="append",
        default=[],
        help="allow configs to construct objects from this Python package; may be repeated",
    )
    add_trust(parser)


def add_trust(parser: ArgumentParser) -> None:
    """Add ``--trust``."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="use own code and commands that the config of a received run names, after listing them",
    )


def allow_packages(names: list[str], trust: bool = False) -> None:
    """Extend what configs may construct, for this process and its children.

    Args:
        names: further packages of the allow-list.
        trust: whether the configs of run directories that others have created are trusted.
    """
    import os

    from runner.config.build import ENVIRONMENT
    from runner.config.trust import TRUST

    if trust:
        os.environ[TRUST] = "1"
    if names:
        before = [name for name in os.environ.get(ENVIRONMENT, "").split(",") if name]
        os.environ[ENVIRONMENT] = ",".join(dict.fromkeys([*before, *names]))
