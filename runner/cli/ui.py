"""``runner ui``: the MLflow dashboard for the tracking store next to the runs."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

SUMMARY = "open the MLflow dashboard of the runs"
DEFAULT_PORT = 5000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--root", default="runs", metavar="FOLDER", help="folder of the runs (default: runs)")
    parser.add_argument(
        "--port", type=int, default=None, help=f"default: {DEFAULT_PORT}, or a free one if that is in use"
    )
    parser.add_argument("--open", action="store_true", help="open it in the browser")


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit code."""
    from runner.tracking.server import Server
    from runner.tracking.store import default_uri

    root = Path(args.root).absolute()
    port = choose_port(args.port)
    for line in hints(root):
        print(line)
    print("Starting the dashboard …", flush=True)
    # Shells start background jobs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, _end)
    with Server(default_uri(root), str(root), port) as server:
        try:
            server.wait_ready()
            page = server.url + page_of(root, prepare_view(root))
            print(f"MLflow dashboard: {page}   (Ctrl-C ends it)", flush=True)
            if args.open:
                import webbrowser

                webbrowser.open(page)
            server.process.wait()
        except KeyboardInterrupt:
            print("\nDashboard ended.")
            return 0
        print(server.last_output(), file=sys.stderr)
    return 1


def choose_port(requested: int | None) -> int:
    """Return the requested port; if None, the default or, if that is in use, any free one.

    Raises:
        UserError: the requested port is in use or invalid.
    """
    from runner.errors import UserError
    from runner.tracking.server import free_port, is_free

    if requested is None:
        return DEFAULT_PORT if is_free(DEFAULT_PORT) else free_port()
    if not 0 < requested < 65536:
        raise UserError(f"--port {requested} is not a port: expected a number from 1 to 65535.")
    if not is_free(requested):
        raise UserError(f"--port {requested} is in use by another program. Omit --port to use a free one.")
    return requested


NUM_RUNS_IN_VIEW = 30
"""Number of the newest runs whose metrics and parameters decide about columns and charts."""


def page_of(root: Path, view: str | None = None) -> str:
    """Return the path of the page with the newest run's experiment.

    Without it, MLflow 3.17 opens its GenAI view.

    Args:
        root: folder of the runs.
        view: key of a view of the experiment.
    """
    experiment = newest_experiment(root)
    if experiment is None:
        return "/#/experiments?workflowType=machine_learning"
    shared = "" if view is None else f"&viewStateShareKey={view}"
    return f"/#/experiments/{experiment}/runs?workflowType=machine_learning{shared}"


def newest_experiment(root: Path) -> str | None:
    """Return the id of the newest run's experiment in the store next to the runs."""
    from runner.run.directory import list_runs
    from runner.tracking.metric_tail import read_state

    for run in reversed(list_runs(root)):
        state = read_state(run)
        if state.uri is None and state.experiment_id is not None:
            return state.experiment_id
    return None


def prepare_view(root: Path) -> str | None:
    """Store order, columns and charts of the newest run's experiment; return the key of the view, if any."""
    from runner.run.directory import is_fold, is_trial, list_runs
    from runner.run.state import RunState
    from runner.tracking.dashboard_view import VIEW, set_view
    from runner.tracking.metric_tail import read_state
    from runner.tracking.store import default_uri, open_store

    experiment = newest_experiment(root)
    if experiment is None:
        return None
    runs = [run for run in list_runs(root) if not is_trial(run) and not is_fold(run)]
    runs = [run for run in runs if read_state(run).experiment_id == experiment][-NUM_RUNS_IN_VIEW:]
    states = [RunState(run, tolerant=True) for run in runs]
    return VIEW if set_view(open_store(default_uri(root)), experiment, states) else None


def hints(root: Path) -> list[str]:
    """Return messages about runs that the dashboard does not show completely."""
    from runner.run.directory import list_runs
    from runner.run.state import RunState
    from runner.tracking.metric_tail import read_state

    runs = [RunState(run) for run in list_runs(root)]
    if not runs:
        return [f"No runs in {root} yet; they appear here as soon as `runner train` starts one."]
    ended = [run for run in runs if run.status.state not in ("created", "running")]
    missing = [run for run in ended if not read_state(run.directory).is_complete(run.status)]
    if missing:
        return [
            f"{len(missing)} of {len(runs)} runs are incomplete in it: `runner sync --all` sends the rest."
        ]
    return []


def _end(*_: object) -> None:
    raise KeyboardInterrupt
