"""Mirrors one run to MLflow in passes; each pass sends what is new, and each point is sent once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.config.tracking import Tracking
from runner.errors import UserError
from runner.run.directory import RunDir
from runner.run.state import RunState
from runner.tracking.metric_tail import end_of, write_state
from runner.tracking.mlflow_run import ENDED, RunEntry
from runner.tracking.settings import read_config
from runner.tracking.store import use_environment
from runner.tracking.tags import params_of, tags_of
from runner.tracking.uploader import SyncReport, Uploader

__all__ = ["Mirror", "sync"]

LOCK_TIMEOUT_S = 120


def sync(run: RunDir | str | Path, uri: str | None = None) -> SyncReport:
    """Send what the store lacks of a run. Errors of the store are reported in `SyncReport.error`.

    Args:
        run: the run or its directory.
        uri: store to mirror to from now on; None for that of the run's config.
    """
    return Mirror(run, uri).sync()


class Mirror:
    """The mirror of one run, which keeps its connection between passes.

    Args:
        run: the run or its directory.
        uri: as for `sync`.
        tags: tags in addition to those of the run itself.
    """

    def __init__(
        self, run: RunDir | str | Path, uri: str | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        self.run = run if isinstance(run, RunDir) else RunDir(run)
        self.tags = dict(tags or {})
        self.entry = RunEntry(self.run, uri)

    def sync(self, final: bool = True) -> SyncReport:
        """Execute one pass.

        Args:
            final: whether the directory of an ended run is complete; otherwise its worker may still write.
        """
        from filelock import FileLock, Timeout

        use_environment()
        from mlflow.exceptions import MlflowException

        report = SyncReport(self.run)
        try:
            with FileLock(self.run.path / ".tracking.lock", timeout=LOCK_TIMEOUT_S):
                self._pass(report, final)
        except Timeout:
            report.error = "another process is mirroring this run; try again later"
        except (MlflowException, OSError, UserError) as error:
            self.entry.disconnect()
            report.error = str(error).strip() or type(error).__name__
        return report

    def _pass(self, report: SyncReport, final: bool) -> None:
        run = RunState(self.run)
        status = run.status  # read first: a run that has ended by now has written all its other files
        config = read_config(self.run)
        settings = Tracking.from_config(config)
        state = self.entry.connect(settings)
        report.uri, report.run_id = self.entry.uri, state.run_id
        uploader = Uploader(self.entry, state, report)
        has_ended = status.state in ENDED
        if not has_ended:
            self.entry.set_status(state, status)
        uploader.send_texts("params", params_of(config))
        uploader.send_texts("tags", tags_of(run, config) | self.tags)
        uploader.send_points("metrics", self.run.metrics_path)
        uploader.send_points("system", self.run.logs / "system.jsonl")
        if has_ended:
            self.entry.set_status(state, status)
        uploader.send_dataset(run.facts)
        final = final and has_ended
        uploader.send_files(final, settings.log_checkpoints)
        state.ended = end_of(status) if final else None
        write_state(self.run, state)
        report.status = str(state.status[0]) if state.status else None
        report.complete = final
