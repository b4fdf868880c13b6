"""Command line and settings of the scripts that compare trainings."""

from __future__ import annotations

import argparse

QUIET = ("auto=false", "tracking=none", "plots=false", "baselines=false", "report=false")
"""Nothing but the training."""


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the overrides as positional arguments; it prints the description unchanged."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="key=value")
    return parser


def add_photographs(parser: argparse.ArgumentParser) -> None:
    """Add ``--data`` and ``--weights`` for comparisons on a frozen backbone."""
    parser.add_argument("--data", required=True, metavar="FOLDER")
    parser.add_argument(
        "--weights", metavar="FILE", help="of the backbone; the library's published ones without"
    )
