"""``runner report RUN``: the page with everything about a run."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_run

SUMMARY = "write one self-contained HTML page about a run"


def add_arguments(parser: ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--open", action="store_true", help="show it in the browser")


def run(args: Namespace) -> int:
    from runner.report.page import write_report
    from runner.run.directory import find_run

    found = find_run(args.run_ref, args.root)
    write_report(found)
    print(found.report_path)
    if args.open:
        import webbrowser

        webbrowser.open(found.report_path.absolute().as_uri())
    return 0
