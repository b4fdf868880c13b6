"""The run in MLflow that stands for a whole sweep, and has its trials as children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from runner.run.directory import RunDir
from runner.run.files import read_json, write_json
from runner.run.status import process_started_at, read_status
from runner.sweep.directory import SweepDir
from runner.tracking.flatten import valid_key
from runner.tracking.settings import TrackingSettings
from runner.tracking.store import absolute_uri, artifact_root, default_uri, experiment_id, open_store

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["ParentRun"]

STATUS = {"finished": "FINISHED", "failed": "FAILED"}
FILES = ("sweep.yaml", "best.yaml", "report.html")
PARENT = "mlflow.parentRunId"


class ParentRun:
    """Made when the first trial is in the store. What was sent stands in the sweep's ``tracking.json``."""

    def __init__(self, sweep: SweepDir):
        self.sweep = sweep
        self.state: dict[str, Any] = {"run_id": None, "children": {}, "told": [], "best": None}
        self.state |= read_json(sweep.tracking_path, {})
        self._client: MlflowClient | None = None

    def client(self) -> MlflowClient:
        if self._client is None:
            root = self.sweep.path.parent
            base = OmegaConf.to_container(OmegaConf.load(self.sweep.base_path), resolve=False)
            settings = TrackingSettings.from_config(base)
            uri = absolute_uri(settings.uri) if settings.uri else default_uri(root)
            client = open_store(uri)
            if self.state["run_id"] is None:
                experiment = experiment_id(client, settings.experiment, artifact_root(uri, root))
                tags = {"runner.kind": "sweep", "runner.directory": str(self.sweep.path)}
                made = client.create_run(experiment, tags=tags, run_name=self.sweep.name)
                self.state["run_id"] = made.info.run_id
                self._keep()
                self._tell_plan(client)
            self._client = client
        return self._client

    def adopt(self, run: RunDir, run_id: str) -> None:
        """Makes a trial's run a child of this one."""
        if self.state["children"].get(run.name) != run_id:
            self.client().set_tag(run_id, PARENT, self.state["run_id"])
            self.state["children"][run.name] = run_id
            self._keep()

    def send(self, final: bool) -> None:
        """Values of the trials that have ended since; at the end also what was found, and how the sweep ended."""
        if not self.state["children"]:
            return
        client, run_id = self.client(), self.state["run_id"]
        client.update_run(run_id, status="RUNNING")
        for name in sorted(self.state["children"], key=int):
            self._tell_value(client, name)
        if not final:
            return
        self._mark_best(client)
        for name in FILES:
            if (self.sweep.path / name).is_file():
                client.log_artifact(run_id, str(self.sweep.path / name))
        client.set_terminated(run_id, status=self._status())

    def _tell_plan(self, client: MlflowClient) -> None:
        plan = OmegaConf.to_container(OmegaConf.load(self.sweep.plan_path), resolve=False)
        for key, text in plan["space"].items():
            client.log_param(self.state["run_id"], valid_key(f"space.{key}"), text)
        for key in ("sampler", "pruner", "num_trials", "seed"):
            client.set_tag(self.state["run_id"], f"sweep.{key}", str(plan["settings"][key]))

    def _tell_value(self, client: MlflowClient, name: str) -> None:
        run = self.sweep.trial(int(name))
        best = read_json(run.results_path, {}).get("best") or {}
        if name in self.state["told"] or read_status(run).state != "finished" or best.get("value") is None:
            return
        key = valid_key(f"trial/{best['monitor']}")
        client.log_metric(self.state["run_id"], key, best["value"], step=int(name))
        self.state["told"].append(name)
        self._keep()

    def _mark_best(self, client: MlflowClient) -> None:
        best = read_json(self.sweep.status_path, {}).get("best")
        if best is None or str(best) not in self.state["children"]:
            return
        if self.state["best"] not in (None, str(best)):
            client.delete_tag(self.state["children"][self.state["best"]], "runner.best")
        client.set_tag(self.state["children"][str(best)], "runner.best", "true")
        client.set_tag(self.state["run_id"], "runner.best_trial", str(best))
        self.state["best"] = str(best)
        self._keep()

    def _status(self) -> str:
        """A sweep that says it is running, but whose process is gone, was killed."""
        status = read_json(self.sweep.status_path, {})
        if status.get("state") == "running" and process_started_at(status["pid"]) == status["pid_started_at"]:
            return "RUNNING"
        return STATUS.get(status.get("state"), "KILLED")

    def _keep(self) -> None:
        write_json(self.sweep.tracking_path, self.state)
