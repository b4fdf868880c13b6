"""A sweep on disk: ``runs/NAME`` with ``trials/0``, ``trials/1`` …, each of which is a run."""

from __future__ import annotations

from pathlib import Path

from runner.errors import RunNotFoundError
from runner.run.directory import RunDir, find_run, is_fold, is_trial, list_runs
from runner.run.format import reject_newer_format
from runner.suggest import did_you_mean

__all__ = ["SweepDir", "find_run_or_sweep", "find_sweep", "list_sweeps"]

PLAN = "sweep.yaml"


class SweepDir:
    """The paths of one sweep. The constructor does not access the disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = path = Path(path)
        self.plan_path = path / PLAN
        self.base_path = path / "base.yaml"
        self.study_path = path / "study.journal"
        self.status_path = path / "status.json"
        self.best_path = path / "best.yaml"
        self.tracking_path = path / "tracking.json"
        self.report_path = path / "report.html"
        self.lock_path = path / ".lock"
        self.trials = path / "trials"
        self.plots = path / "plots"
        self.logs = path / "logs"

    @property
    def name(self) -> str:
        """The folder's name, which is also that of the study."""
        return self.path.name

    def trial(self, number: int) -> RunDir:
        """Return the run directory of a trial, which need not exist."""
        return RunDir(self.trials / str(number))


def list_sweeps(root: str | Path = "runs") -> list[SweepDir]:
    """List the sweeps in ``root``, in the order in which they were last started or resumed."""
    plans = sorted(Path(root).glob(f"*/{PLAN}"), key=lambda plan: plan.stat().st_mtime)
    return [SweepDir(plan.parent.absolute()) for plan in plans]


def find_run_or_sweep(reference: str | Path, root: str | Path = "runs") -> RunDir | SweepDir:
    """Return the run or sweep with the given directory, name, unique part of a name, or MLflow run id.

    Args:
        reference: as above, or ``latest``.
        root: folder of the runs.

    Raises:
        RunNotFoundError: none or several match.
    """
    sweeps = list_sweeps(root)
    if (Path(reference) / PLAN).is_file() or any(sweep.name == str(reference) for sweep in sweeps):
        return find_sweep(reference, root)
    if str(reference) == "latest":
        runs = [run for run in list_runs(root) if not is_trial(run) and not is_fold(run)]
        created_at = runs[-1].created_at() if runs else 0.0
        if sweeps and sweeps[-1].plan_path.stat().st_mtime >= created_at:
            return sweeps[-1]
        return runs[-1] if runs else find_run(reference, root)
    try:
        return find_run(reference, root)
    except RunNotFoundError:
        if sum(str(reference) in sweep.name for sweep in sweeps) == 1:
            return find_sweep(reference, root)
        raise


def find_sweep(reference: str | Path, root: str | Path = "runs") -> SweepDir:
    """Return the sweep with the given directory, name, unique part of a name, or ``latest``.

    Raises:
        RunNotFoundError: no sweep or several sweeps match.
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
        raise RunNotFoundError(f"no sweep {str(reference)!r}: {Path(root).absolute()} contains no sweeps.")
    if str(reference) == "latest":
        return list(sweeps.values())[-1]
    matches = [name for name in sweeps if str(reference) in name]
    if str(reference) in sweeps or len(matches) == 1:
        return sweeps[str(reference) if str(reference) in sweeps else matches[0]]
    if matches:
        raise RunNotFoundError(
            f"{str(reference)!r} matches {len(matches)} sweeps ({', '.join(matches)}); give more of the name."
        )
    raise RunNotFoundError(f"no sweep {str(reference)!r}. {did_you_mean(str(reference), sweeps)}")
