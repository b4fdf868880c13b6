"""The run's entry in MLflow: finds or creates it once, and sets its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.config.tracking import Tracking
from runner.errors import UserError
from runner.run.directory import RunDir, root_of
from runner.run.status import Status
from runner.tracking.metric_tail import MirrorState, read_state, write_state
from runner.tracking.store import absolute_uri, artifact_root, default_uri, experiment_id, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

__all__ = ["ENDED", "TOKEN", "RunEntry"]

MLFLOW_STATUS = {
    "created": "SCHEDULED",
    "running": "RUNNING",
    "finished": "FINISHED",
    "pruned": "KILLED",  # the tag runner.state distinguishes it from an interrupted run
    "failed": "FAILED",
    "interrupted": "KILLED",
    "lost": "KILLED",  # its process was killed, ran out of memory, or the power failed
}
ENDED = ("finished", "pruned", "failed", "interrupted", "lost")
TOKEN = "runner.token"


class RunEntry:
    """The entry of a run in MLflow, with the connection to the store.

    Args:
        run: the run.
        asked_uri: the store to use from now on; None for that of the config.
        token: tag by which other machines find the run; None for a new one.
    """

    def __init__(self, run: RunDir, asked_uri: str | None = None, token: str | None = None) -> None:
        self.run = run
        self.asked_uri = asked_uri
        self.token = token
        self.uri = ""
        self.client: MlflowClient | None = None

    def connect(self, settings: Tracking) -> MirrorState:
        """Open the store, and find or create the run.

        Args:
            settings: the ``tracking`` node.

        Returns:
            The state of the mirror, with the run's id.

        Raises:
            UserError: the run was deleted in MLflow, or the store cannot be used.
        """
        known = self.run.tracking_path.exists()
        state = read_state(self.run)
        uri = self._choose_uri(state, settings)
        stored = None if uri == default_uri(root_of(self.run)) else uri
        if stored != state.uri:
            state, known = self._new_state(), False
        state.asked_uri, state.uri = settings.uri, stored
        if self.client is None or uri != self.uri:
            self.client, self.uri = open_store(uri), uri
            if state.run_id and not self._exists(state.run_id):
                state, known = self._new_state(asked_uri=settings.uri, uri=stored), False
        if state.run_id is None:
            state.token = self.token or state.token
            self._create(state, settings, known or self.token is not None)
        return state

    def _new_state(self, asked_uri: str | None = None, uri: str | None = None) -> MirrorState:
        state = MirrorState(asked_uri=asked_uri, uri=uri)
        state.token = self.token or state.token
        return state

    @property
    def connected(self) -> MlflowClient:
        """The client of the open store.

        Raises:
            RuntimeError: `connect` was not called.
        """
        if self.client is None:
            raise RuntimeError("the store is not open")
        return self.client

    def disconnect(self) -> None:
        """Discard the connection; the next `connect` opens a new one."""
        self.client = None

    def require_active(self, run_id: str) -> None:
        """Check that the run was not deleted in MLflow, because it must not be recreated silently.

        Raises:
            UserError: the run was deleted.
        """
        if self.connected.get_run(run_id).info.lifecycle_stage == "deleted":
            raise UserError(
                f"run {run_id} was deleted in MLflow. Restore it there, or remove "
                f"{self.run.tracking_path} to mirror {self.run.name} again."
            )

    def set_status(self, state: MirrorState, status: Status) -> None:
        """Send the run's status to MLflow, if it has changed."""
        name, ended_at_ms = MLFLOW_STATUS[status.state], self._ended_at_ms(status)
        if state.run_id is None or state.status == [name, ended_at_ms]:
            return
        if ended_at_ms is None:
            self.connected.update_run(state.run_id, status=name)
        else:
            self.connected.set_terminated(state.run_id, status=name, end_time=ended_at_ms)
        state.status = [name, ended_at_ms]

    def _choose_uri(self, state: MirrorState, settings: Tracking) -> str:
        if self.asked_uri:
            return absolute_uri(self.asked_uri)
        if state.uri and state.asked_uri == settings.uri:
            return state.uri
        return absolute_uri(settings.uri) if settings.uri else default_uri(root_of(self.run))

    def _exists(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self.require_active(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def _create(self, state: MirrorState, settings: Tracking, may_exist: bool) -> None:
        client, artifacts = self.connected, artifact_root(self.uri, root_of(self.run))
        experiment = experiment_id(client, settings.experiment, artifacts)
        matches: list[MlflowRun] = []
        if may_exist:  # an earlier mirror may have been killed after creating it
            matches = client.search_runs([experiment], f"tags.`{TOKEN}` = '{state.token}'", max_results=1)
        else:
            write_state(self.run, state)
        if not matches:
            created_ms = int(self.run.created_at() * 1000)
            matches = [
                client.create_run(experiment, created_ms, {TOKEN: state.token}, run_name=self.run.name)
            ]
        state.run_id, state.experiment_id = matches[0].info.run_id, experiment
        write_state(self.run, state)

    def _ended_at_ms(self, status: Status) -> int | None:
        if status.state not in ENDED:
            return None
        if status.ended_at is not None and status.state != "lost":
            return int(status.ended_at * 1000)
        written = [path for path in (self.run.metrics_path, self.run.status_path) if path.exists()]
        return int(max(path.stat().st_mtime for path in written or [self.run.path]) * 1000)
