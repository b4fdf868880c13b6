"""A sweep on disk: ``runs/NAME`` with ``trials/0``, ``trials/1`` … each of which is a run."""

from __future__ import annotations

from pathlib import Path

from runner.errors import RunNotFoundError
from runner.run.directory import RunDir, find_run, is_fold, is_trial, list_runs
from runner.run.format import reject_newer_format
from runner.suggest import did_you_mean

__all__ = ["SweepDir", "find_run_or_sweep", "find_sweep", "list_sweeps"]

PLAN = "sweep.yaml"


class SweepDir:
    """The paths of one sweep. Making one of these touches no disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    plan_path = property(lambda self: self.path / PLAN)
    base_path = property(lambda self: self.path / "base.yaml")
    study_path = property(lambda self: self.path / "study.journal")
    status_path = property(lambda self: self.path / "status.json")
    best_path = property(lambda self: self.path / "best.yaml")
    tracking_path = property(lambda self: self.path / "tracking.json")
    report_path = property(lambda self: self.path / "report.html")
    lock_path = property(lambda self: self.path / ".lock")
    trials = property(lambda self: self.path / "trials")
    plots = property(lambda self: self.path / "plots")
    logs = property(lambda self: self.path / "logs")

    @property
    def name(self) -> str:
        return self.path.name

    def trial(self, number: int) -> RunDir:
        return RunDir(self.trials / str(number))


def list_sweeps(root: str | Path = "runs") -> list[SweepDir]:
    """The sweeps in ``root``; those that were begun or gone on with last stand last."""
    plans = sorted(Path(root).glob(f"*/{PLAN}"), key=lambda plan: plan.stat().st_mtime)
    return [SweepDir(plan.parent.absolute()) for plan in plans]


def find_run_or_sweep(reference: str | Path, root: str | Path = "runs") -> RunDir | SweepDir:
    """What is meant by a directory, a name or a unique part of one, an MLflow run id, or ``latest``.

    Raises:
        RunNotFoundError: nothing or more than one answers.
    """
    sweeps = list_sweeps(root)
    if (Path(reference) / PLAN).is_file() or any(sweep.name == str(reference) for sweep in sweeps):
        return find_sweep(reference, root)
    if str(reference) == "latest":
        runs = [run for run in list_runs(root) if not is_trial(run) and not is_fold(run)]
        began = runs[-1].created_at() if runs else 0.0
        if sweeps and sweeps[-1].plan_path.stat().st_mtime >= began:
            return sweeps[-1]
        return runs[-1] if runs else find_run(reference, root)
    try:
        return find_run(reference, root)
    except RunNotFoundError:
        if sum(str(reference) in sweep.name for sweep in sweeps) == 1:
            return find_sweep(reference, root)
        raise


def find_sweep(reference: str | Path, root: str | Path = "runs") -> SweepDir:
    """The sweep meant by a directory, a name, a unique part of a name, or ``latest``.

    Raises:
        RunNotFoundError: nothing or more than one sweep answers.
        UserError: a later version of runner has written the sweep.
    """
    sweep = _locate_sweep(reference, root)
    reject_newer_format(sweep.path)
    return sweep


def _locate_sweep(reference: str | Path, root: str | Path) -> SweepDir:
    path = Path(reference)
    if (path / PLAN).is_file():
        return SweepDir(path.absolute())
    sweeps = {sweep.name: sweep for sweep in list_sweeps(root)}
    if not sweeps:
        raise RunNotFoundError(f"no sweep {str(reference)!r}: there are none in {Path(root).absolute()}.")
    if str(reference) == "latest":
        return list(sweeps.values())[-1]
    fitting = [name for name in sweeps if str(reference) in name]
    if str(reference) in sweeps or len(fitting) == 1:
        return sweeps[str(reference) if str(reference) in sweeps else fitting[0]]
    if fitting:
        raise RunNotFoundError(f"{str(reference)!r} fits {len(fitting)} sweeps ({', '.join(fitting)}).")
    raise RunNotFoundError(f"no sweep {str(reference)!r}. {did_you_mean(str(reference), sweeps)}")
