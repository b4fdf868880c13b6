"""``runner doctor``: checks the environment and suggests remedies."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from runner.cli.arguments import add_root

if TYPE_CHECKING:
    from runner.cli.doctor.finding import Finding

SUMMARY = "check this machine: packages, devices, folders, tracking store"

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_root(parser)
    parser.add_argument("--json", action="store_true", help="one JSON list, for programs")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.cli.doctor.examination import examine

    findings = examine(args.root)
    if args.json:
        import json
        from dataclasses import asdict

        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    return int(any(finding.level == "fail" for finding in findings))


def _print(findings: list[Finding]) -> None:
    from rich.text import Text

    from runner.cli.show import console

    out = console()
    for finding in findings:
        line = Text(f"{finding.level:<5}", style=COLOURS[finding.level])
        line.append(f"{finding.subject:<12} ", style="default").append(finding.text, style="default")
        out.print(line, soft_wrap=True)
        if finding.remedy:
            out.print(Text(" " * 18 + finding.remedy, style="dim"), soft_wrap=True)
    count = {level: sum(finding.level == level for finding in findings) for level in COLOURS}
    out.print(f"\n{count['ok']} ok, {count['warn']} warnings, {count['fail']} errors")
