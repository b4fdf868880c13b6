"""The command line: one thin module per verb, which parses arguments, calls the library and prints.

A verb is a module in this package with ``SUMMARY``, ``add_arguments(parser)`` and ``run(args) -> exit code``.
It must not import heavy packages before it runs. To add a verb, add its module, and its name to ``VERBS``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from types import ModuleType

from runner.cli.arguments import VerbParser
from runner.cli.examples import ACTIONS, EXAMPLES, action_help, format_examples
from runner.cli.group import reject_in_group
from runner.cli.show import guarded
from runner.errors import UserError
from runner.suggest import nearest

__all__ = ["VERBS", "front_parser", "load_verb", "main", "verb_parser"]

VERBS = {
    "Train": ("train", "find-lr", "sweep", "resume", "reproduce"),
    "Use a run": ("evaluate", "predict", "explain", "embed", "landscape"),
    "Look at runs": ("runs", "compare", "report", "ui", "sync"),
    "Prepare": ("list", "config", "data", "doctor", "completion"),
}
IN_GROUP = ("train", "resume")
"""Verbs that support several processes started by torchrun or srun."""

NAMES = tuple(name for names in VERBS.values() for name in names)


def load_verb(name: str) -> ModuleType:
    """Import the module of a verb."""
    return importlib.import_module(f"runner.cli.{name.replace('-', '_')}")


def verb_parser(name: str) -> VerbParser:
    """Return the parser of a verb, with its examples."""
    verb = load_verb(name)
    parser = VerbParser(prog=f"runner {name}", description=verb.SUMMARY)
    verb.add_arguments(parser)
    parser.epilog = "\n\n".join(filter(None, (format_examples(EXAMPLES[name]), parser.epilog)))
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after ``runner``; those of the process if None.

    Returns:
        The exit code: 0 success, 1 failed run, 2 user error, 130 interrupted.
    """
    words = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a verb: a module of this package
    if "_ARGCOMPLETE" in os.environ and argv is None:
        from runner.cli.completion import answer_shell

        answer_shell(front_parser())
    return guarded(lambda: _dispatch(words))


def _dispatch(words: list[str]) -> int:
    if words and words[0] == "help":
        words = [*words[1:3], "--help"]
    if words[:1] in (["version"], ["-V"]):
        words = ["--version"]
    if words and words[0] in NAMES:
        if words[1:2] and words[1] in ACTIONS.get(words[0], {}) and {"-h", "--help"} & {*words[2:]}:
            print(action_help(words[0], words[1]))
            return 0
        verb, parser = load_verb(words[0]), verb_parser(words[0])
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
    """Return the parser of all verbs, for ``--help`` and shell completion."""
    from runner import __version__

    parser = VerbParser(
        prog="runner", usage="runner VERB …", description="Trains networks. A run is a directory."
    )
    parser.add_argument("-V", "--version", action="version", version=f"runner {__version__}")
    verbs = parser.add_subparsers(help=argparse.SUPPRESS, parser_class=VerbParser)
    lines = []
    for title, names in VERBS.items():
        lines.append(f"\n{title}:")
        for name in names:
            verb = load_verb(name)
            verb.add_arguments(verbs.add_parser(name, description=verb.SUMMARY))
            lines.append(f"  {name:<12}{verb.SUMMARY}")
    parser.description = f"{parser.description}\n" + "\n".join(lines)
    parser.epilog = (
        "`runner help VERB` shows the details of one.\n"
        "Exit codes: 0 success, 1 failed run, 2 user error, 130 interrupted."
    )
    return parser


def _unknown_verb(words: list[str]) -> str:
    word = words[0]
    if "=" in word or word.endswith((".yaml", ".yml")):
        return f"expected a verb first, got {word!r}. Did you mean `runner train {' '.join(words)}`?"
    near = nearest(word, NAMES, most=1)
    hint = f"Did you mean `runner {near[0]}`?" if near else f"Valid: {', '.join(NAMES)}."
    return f"unknown verb {word!r}. {hint}"
