"""Child runs in MLflow: the trials of a sweep and the folds of a cross-validation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from runner.run.directory import RunDir
from runner.run.folds import folds_of
from runner.run.status import read_status
from runner.tracking.metric_tail import read_state
from runner.tracking.mirror import Mirror
from runner.tracking.mlflow_run import ENDED
from runner.tracking.uploader import SyncReport

__all__ = ["PARENT", "Children", "FoldsMirror"]

PARENT = "mlflow.parentRunId"

log = logging.getLogger("runner.tracking")


class Children:
    """Mirrors of child runs. Each keeps its connection until its run is completely in the store.

    Args:
        uri: as for `Mirror`.
        tags_of: returns additional tags of a run, such as `PARENT`.

    Attributes:
        errors: errors of the last pass; the first one ends the pass.
        points: number of metric values sent in the last pass.
    """

    def __init__(self, uri: str | None, tags_of: Callable[[RunDir], Mapping[str, str]]) -> None:
        self.uri = uri
        self.tags_of = tags_of
        self.errors: list[str] = []
        self.points = 0
        self._mirrors: dict[str, Mirror] = {}
        self._done: set[str] = set()

    def send(self, runs: Iterable[RunDir], final: bool) -> bool:
        """Send what is new in each run.

        Args:
            runs: the child runs.
            final: whether the runs do not change any more.

        Returns:
            Whether every run was never started, or has ended and is completely in the store.
        """
        self.errors, self.points = [], 0
        return all([self._send(run, final) for run in runs if run.name not in self._done]) and not self.errors

    def _send(self, run: RunDir, final: bool) -> bool:
        status = read_status(run)
        name = run.name
        if self.errors or not run.config_path.is_file():
            return not self.errors
        if status.state == "created":
            return True
        # A killed run whose parent is alive is not lost: another attempt follows.
        mirror = self._mirrors.get(name) or Mirror(run, self.uri, self.tags_of(run))
        self._mirrors[name] = mirror
        report = mirror.sync(final=final or status.state not in ("lost", "interrupted"))
        self.points += report.points
        for refused in report.refused:
            log.warning("%s: refused: %s", name, refused)
        if report.error is not None:
            log.warning("%s: not sent: %s", name, report.error)
            self.errors.append(f"{name}: {report.error}")
            return False
        status = read_status(run)
        if status.state in ENDED and read_state(run).is_complete(status):
            if status.state not in ("lost", "interrupted"):
                self._done.add(name)
                del self._mirrors[name]
            return True
        return False


class FoldsMirror:
    """The mirror of a cross-validation, whose folds are child runs; it has the interface of `Mirror`.

    Args:
        run: the cross-validation run.
        uri: as for `Mirror`.
    """

    def __init__(self, run: RunDir, uri: str | None = None) -> None:
        self.run = run
        self.parent = Mirror(run, uri, {"runner.kind": "folds"})
        self.children = Children(uri, self._tags_of)

    def _tags_of(self, fold: RunDir) -> dict[str, str]:
        run_id = read_state(self.run).run_id
        return {"runner.fold": fold.path.name} | ({PARENT: run_id} if run_id else {})

    def sync(self, final: bool = True) -> SyncReport:
        """Send the parent run, then the folds, then the end of the parent run.

        Args:
            final: whether the run does not change any more.
        """
        report = self.parent.sync(final=False)
        if report.error is not None:
            return report
        complete = self.children.send(folds_of(self.run), final)
        points = report.points + self.children.points
        if complete and final:
            report = self.parent.sync(final=True)
        report.points = points
        if self.children.errors:
            report.error = self.children.errors[0]
        return report
