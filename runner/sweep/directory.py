"""A sweep on disk: ``runs/NAME`` with ``trials/0``, ``trials/1`` … each of which is a run."""

from __future__ import annotations

from pathlib import Path

from runner.config.nearest import did_you_mean
from runner.errors import RunNotFoundError
from runner.run.directory import RunDir

__all__ = ["SweepDir", "find_sweep"]

PLAN = "sweep.yaml"


class SweepDir:
    """The paths of one sweep. Making one of these touches no disk."""

    def __init__(self, path: str | Path):
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


def find_sweep(reference: str | Path, root: str | Path = "runs") -> SweepDir:
    """The sweep meant by a directory, a name, a unique part of a name, or ``latest``.

    Raises:
        RunNotFoundError: nothing or more than one sweep answers.
    """
    path = Path(reference)
    if (path / PLAN).is_file():
        return SweepDir(path.absolute())
    found = sorted(Path(root).glob(f"*/{PLAN}"), key=lambda plan: plan.stat().st_mtime)
    sweeps = {plan.parent.name: SweepDir(plan.parent.absolute()) for plan in found}
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
