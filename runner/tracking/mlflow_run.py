"""The run's entry in MLflow: found or made once, and its status there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.tracking import Tracking
from runner.errors import UserError
from runner.run.directory import RunDir, root_of
from runner.run.status import Status
from runner.tracking.metric_tail import MirrorState, read_state, write_state
from runner.tracking.store import absolute_uri, artifact_root, default_uri, experiment_id, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["ENDED", "RunEntry"]

MLFLOW_STATUS = {
    "created": "SCHEDULED",
    "running": "RUNNING",
    "finished": "FINISHED",
    "pruned": "KILLED",  # the tag runner.state tells it from a run that was stopped by hand
    "failed": "FAILED",
    "interrupted": "KILLED",
    "lost": "KILLED",  # its process ended without a word: killed, out of memory, power cut
}
ENDED = ("finished", "pruned", "failed", "interrupted", "lost")
TOKEN = "runner.token"


class RunEntry:
    """Keeps the connection to the store and the run's id in it.

    Args:
        asked_uri: the store to use from now on, which overrides the config; None uses the config's.
        token: by which other machines find the run too; None is a new one.
    """

    def __init__(self, run: RunDir, asked_uri: str | None = None, token: str | None = None) -> None:
        self.run = run
        self.asked_uri = asked_uri
        self.token = token
        self.uri = ""
        self.client: MlflowClient | None = None

    def connect(self, settings: Tracking) -> MirrorState:
        """Opens the store and finds the run in it, or makes it there. After that the state has its id.

        Raises:
            UserError: the run was deleted in MLflow, or the store cannot be used.
        """
        known = self.run.tracking_path.exists()
        state = read_state(self.run)
        uri = self._choose_uri(state, settings)
        stored = None if uri == default_uri(root_of(self.run)) else uri
        if stored != state.uri:
            state, known = self._fresh(), False
        state.asked_uri, state.uri = settings.uri, stored
        if self.client is None or uri != self.uri:
            self.client, self.uri = open_store(uri), uri
            if state.run_id and not self._is_there(state.run_id):
                state, known = self._fresh(asked_uri=settings.uri, uri=stored), False
        if state.run_id is None:
            state.token = self.token or state.token
            self._make(state, settings, known or self.token is not None)
        return state

    def _fresh(self, **known: str | None) -> MirrorState:
        return MirrorState(**known, **({"token": self.token} if self.token else {}))

    def disconnect(self) -> None:
        self.client = None

    def require_active(self, run_id: str) -> None:
        """Raises where the run was deleted in MLflow: it is not recreated silently."""
        if self.client.get_run(run_id).info.lifecycle_stage == "deleted":
            raise UserError(
                f"run {run_id} was deleted in MLflow. Restore it there, or remove "
                f"{self.run.tracking_path} to mirror {self.run.name} again."
            )

    def set_status(self, state: MirrorState, status: Status) -> None:
        """Makes MLflow's status of the run what it is."""
        wanted = [MLFLOW_STATUS[status.state], self._ended_at_ms(status)]
        if state.status == wanted:
            return
        if wanted[1] is None:
            self.client.update_run(state.run_id, status=wanted[0])
        else:
            self.client.set_terminated(state.run_id, status=wanted[0], end_time=wanted[1])
        state.status = wanted

    def _choose_uri(self, state: MirrorState, settings: Tracking) -> str:
        if self.asked_uri:
            return absolute_uri(self.asked_uri)
        if state.uri and state.asked_uri == settings.uri:
            return state.uri
        return absolute_uri(settings.uri) if settings.uri else default_uri(root_of(self.run))

    def _is_there(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self.require_active(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def _make(self, state: MirrorState, settings: Tracking, known: bool) -> None:
        artifacts = artifact_root(self.uri, root_of(self.run))
        experiment = experiment_id(self.client, settings.experiment, artifacts)
        found = []
        if known:  # an earlier mirror may have been killed just behind making it
            found = self.client.search_runs([experiment], f"tags.`{TOKEN}` = '{state.token}'", max_results=1)
        else:
            write_state(self.run, state)
        if not found:
            created_ms = int(self.run.created_at() * 1000)
            found = [
                self.client.create_run(experiment, created_ms, {TOKEN: state.token}, run_name=self.run.name)
            ]
        state.run_id, state.experiment_id = found[0].info.run_id, experiment
        write_state(self.run, state)

    def _ended_at_ms(self, status: Status) -> int | None:
        if status.state not in ENDED:
            return None
        if status.ended_at is not None and status.state != "lost":
            return int(status.ended_at * 1000)
        signs = [path for path in (self.run.metrics_path, self.run.status_path) if Path(path).exists()]
        return int(max(path.stat().st_mtime for path in signs or [self.run.path]) * 1000)
