"""``runner report RUN`` or ``runner report SWEEP``: writes the HTML report."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from runner.cli.arguments import add_run

SUMMARY = "write one self-contained HTML page about a run or a sweep"


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of the verb."""
    add_run(
        parser,
        text="a run or a sweep: its directory, its name or a part of it, an MLflow run id, or `latest`",
    )
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def run(args: Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.run.directory import RunDir
    from runner.sweep.directory import find_run_or_sweep

    source = find_run_or_sweep(args.run_ref, args.root)
    if isinstance(source, RunDir):
        from runner.report.page import write_report

        write_report(source)
    else:
        from runner.sweep.report.page import write_sweep_report

        write_sweep_report(source)
    print(source.report_path)
    if args.open:
        import webbrowser

        webbrowser.open(source.report_path.absolute().as_uri())
    return 0
