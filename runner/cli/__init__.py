"""The command line: one file a verb, thin: parse, call, print.

A verb is a module here with ``SUMMARY``, ``add_arguments(parser)`` and ``run(args) -> exit code`` that
imports nothing heavy until it runs. A new verb is a new file and its name in ``VERBS``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from types import ModuleType

from runner.cli.failure import guarded
from runner.cli.group import reject_in_group
from runner.cli.parser import VerbParser
from runner.config.nearest import nearest
from runner.errors import UserError

__all__ = ["VERBS", "front_parser", "load_verb", "main"]

VERBS = {
    "Train": ("train", "find-lr", "sweep", "resume", "reproduce"),
    "Use a run": ("evaluate", "predict", "explain", "embed", "landscape"),
    "Look at runs": ("runs", "compare", "report", "ui", "sync"),
    "Prepare": ("list", "config", "data", "doctor", "completion"),
}
IN_GROUP = ("train", "resume")
"""Verbs that several processes carry out together, when torchrun or srun starts them so."""

NAMES = tuple(name for names in VERBS.values() for name in names)


def load_verb(name: str) -> ModuleType:
    return importlib.import_module(f"runner.cli.{name.replace('-', '_')}")


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the words behind ``runner``; those of the process when None.

    Returns:
        The exit code: 0 done, 1 the run failed, 2 the user's mistake, 130 interrupted.
    """
    words = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a verb: a module of this package
    if "_ARGCOMPLETE" in os.environ and argv is None:
        from runner.cli.complete import answer_shell

        answer_shell(front_parser())
    return guarded(lambda: _dispatch(words))


def _dispatch(words: list[str]) -> int:
    if words and words[0] in NAMES:
        verb = load_verb(words[0])
        parser = VerbParser(prog=f"runner {words[0]}", description=verb.SUMMARY)
        verb.add_arguments(parser)
        args = parser.parse_intermixed_args(words[1:])
        args.words = words
        if words[0] not in IN_GROUP:
            reject_in_group(f"runner {words[0]}")
        return verb.run(args)
    if words and not words[0].startswith("-"):
        raise UserError(_unknown_verb(words))
    parser = front_parser()
    if words:
        parser.parse_args(words)
    parser.print_help()
    return 0


def front_parser() -> VerbParser:
    """The parser with every verb in it: for ``--help`` and for the shell's completion."""
    from runner import __version__

    parser = VerbParser(
        prog="runner", usage="runner VERB …", description="Trains networks. A run is a directory."
    )
    parser.add_argument("--version", action="version", version=f"runner {__version__}")
    verbs = parser.add_subparsers(help=argparse.SUPPRESS, parser_class=VerbParser)
    lines = []
    for title, names in VERBS.items():
        lines.append(f"\n{title}:")
        for name in names:
            verb = load_verb(name)
            verb.add_arguments(verbs.add_parser(name, description=verb.SUMMARY))
            lines.append(f"  {name:<12}{verb.SUMMARY}")
    parser.description += "\n" + "\n".join(lines)
    parser.epilog = (
        "`runner VERB --help` tells more. Exit codes: 0 done, 1 failed, 2 mistake, 130 interrupted."
    )
    return parser


def _unknown_verb(words: list[str]) -> str:
    word = words[0]
    if "=" in word or word.endswith((".yaml", ".yml")):
        return f"a verb comes first, and {word!r} is none. Did you mean `runner train {' '.join(words)}`?"
    near = nearest(word, NAMES, most=1)
    hint = f"Did you mean `runner {near[0]}`?" if near else f"There are: {', '.join(NAMES)}."
    return f"there is no verb {word!r}. {hint}"
