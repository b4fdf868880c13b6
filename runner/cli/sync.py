"""``runner sync``: sends missing data of runs and sweeps to MLflow."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.run.directory import RunDir
    from runner.sweep.directory import SweepDir

SUMMARY = "send missing data of runs and sweeps to MLflow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="run or sweep: directory, name, MLflow run id, or latest"
    )
    parser.add_argument("--all", action="store_true", help="all runs in the folder")
    parser.add_argument("--root", default="runs", metavar="FOLDER", help="folder of the runs (default: runs)")
    parser.add_argument("--uri", default=None, help="tracking URI to use from now on (default: the config's)")
    parser.add_argument("--no-model", action="store_true", help="do not send the servable model")


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit code."""
    runs = choose_runs(args.runs, args.all, args.root)
    complete = True
    for source in runs:
        line, is_sent = send(source, args.uri, not args.no_model)
        print(line, flush=True)
        complete = complete and is_sent
    return 0 if complete else 1


def choose_runs(references: list[str], everything: bool, root: str) -> list[RunDir | SweepDir]:
    """Return the runs and sweeps to send.

    Raises:
        UserError: none is given, or one does not exist.
    """
    from runner.errors import UserError
    from runner.run.directory import is_fold, list_runs
    from runner.sweep.directory import find_run_or_sweep, list_sweeps

    if everything:
        sweeps = list_sweeps(root)
        trials = {sweep.trials for sweep in sweeps}  # sent with their sweep
        runs = [run for run in list_runs(root) if not is_fold(run)]  # sent with their run
        return [*(run for run in runs if run.path.absolute().parent not in trials), *sweeps]
    if not references:
        raise UserError("no RUN was given: name one or more runs, `latest`, or --all.")
    return [find_run_or_sweep(reference, root) for reference in references]


def send(run: RunDir | SweepDir, uri: str | None, with_model: bool) -> tuple[str, bool]:
    """Send a run, or a sweep with all its trials.

    Returns:
        A line for the user, and whether everything was sent.
    """
    from runner.run.directory import RunDir
    from runner.run.folds import has_folds
    from runner.tracking.child_runs import FoldsMirror
    from runner.tracking.mirror import sync
    from runner.tracking.settings import check, read_settings

    if not isinstance(run, RunDir):
        from runner.sweep.mirror import sync_sweep

        return sync_sweep(run, uri, with_model)
    settings = read_settings(run)
    problems = check(settings)
    if problems and uri is None:
        return f"{run.name}: {problems[0]}", False
    report = FoldsMirror(run, uri).sync() if has_folds(run) else sync(run, uri)
    sent = f"{report.points} points, {report.params} parameters, {report.files} files"
    if report.error is not None:
        return f"{run.name}: stopped after {sent}: {report.error}", False
    line = f"{run.name}: {sent} · {report.status} · {report.uri}"
    if with_model and settings.log_model and report.status == "FINISHED":
        from runner.tracking.model import log_model

        line += f" · model {log_model(run)}"
    return "\n  refused: ".join([line, *report.refused]), not report.refused
