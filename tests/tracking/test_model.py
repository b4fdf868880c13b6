"""A logged model predicts what the trained one does, also behind ``mlflow models serve``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from runner.run.files import read_json, write_json
from runner.tracking.mirror import sync
from runner.tracking.model import log_model, log_torch_model
from runner.tracking.server import HOST, free_port
from runner.tracking.store import default_uri, open_store


class Small(nn.Module):
    """Normalisation, a batch norm, dropout: what differs between training and use."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.5))
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)
        )

    def forward(self, inputs):
        return self.layers(inputs - self.mean).softmax(dim=1)


class Untraceable(nn.Module):
    def forward(self, inputs):
        return inputs if inputs.sum() > 0 else -inputs


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    module = Small()
    for _ in range(3):
        module(torch.randn(8, 1, 8, 8))  # moves the batch norm's statistics
    return module


@pytest.fixture
def inputs() -> np.ndarray:
    return np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)


@pytest.fixture
def client(root):
    return open_store(default_uri(root))


def predictions(module: nn.Module, inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module.eval()(torch.from_numpy(inputs)).numpy()


def give_model(monkeypatch, load) -> None:
    """Lets ``log_model`` find this model instead of the one of a checkpoint."""
    stub = types.ModuleType("runner.inference.load")
    stub.load_model = load
    monkeypatch.setitem(sys.modules, "runner.inference.load", stub)


@pytest.mark.parametrize("num_examples", [1, 2, 5])
def test_logged_model_predicts_the_same_for_any_batch(make_run, client, module, inputs, num_examples):
    import mlflow

    run_id = sync(make_run()).run_id
    before = mlflow.get_tracking_uri()
    model_id = log_torch_model(client, run_id, module, np.zeros((num_examples, 1, 8, 8), np.float32))
    assert mlflow.get_tracking_uri() == before
    found = client.get_logged_model(model_id)
    assert found.source_run_id == run_id
    folder = Path(found.artifact_location.removeprefix("file://"))
    loaded = mlflow.pyfunc.load_model(str(folder))
    for size in (1, 2, 3):
        np.testing.assert_allclose(
            loaded.predict(inputs[:size]), predictions(module, inputs[:size]), atol=1e-5
        )
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    assert loaded.metadata.signature.outputs.inputs[0].shape == (-1, 3)
    assert [path.name for path in (folder / "data").iterdir()] == ["model.pt2"]
    wanted = {line.split("==")[0] for line in (folder / "requirements.txt").read_text().split()}
    assert wanted == {"mlflow", "torch", "numpy"}


def test_model_of_a_run_is_logged_once_for_a_checkpoint(make_run, client, module, monkeypatch):
    calls = []

    def load(run):
        calls.append(run)
        return module, np.zeros((2, 1, 8, 8), np.float32), "probabilities"

    give_model(monkeypatch, load)
    run = make_run()
    sync(run)
    first = log_model(run)
    assert str(first).startswith("models:/m-")
    assert log_model(run) == first
    assert len(calls) == 1
    assert sync(run).error is None
    write_json(run.results_path, {"best": {"checkpoint": "checkpoints/step-00000099.ckpt"}})
    assert log_model(run).model_id != first.model_id


def test_untraceable_model_is_reported_and_not_retried(make_run, client, monkeypatch):
    give_model(monkeypatch, lambda run: (Untraceable(), np.zeros((2, 4), np.float32), "values"))
    run = make_run()
    run_id = sync(run).run_id
    report = log_model(run)
    assert report.model_id is None and report.reason
    assert client.get_run(run_id).data.tags["runner.model"] == str(report)
    assert client.get_run(run_id).info.status == "FINISHED"
    give_model(monkeypatch, lambda run: pytest.fail("tried again"))
    assert log_model(run) == report


def test_runs_without_a_model(make_run):
    assert log_model(make_run("going", state=None)).reason == "the run has not finished"
    run = make_run("done")
    assert log_model(run).reason == "the run is not in MLflow"
    sync(run)
    write_json(run.results_path, read_json(run.results_path) | {"best": None})
    assert log_model(run).reason == "the run kept no checkpoint"


@pytest.mark.slow
def test_mlflow_serves_the_model(make_run, client, module, inputs, root):
    run_id = sync(make_run()).run_id
    model_id = log_torch_model(client, run_id, module, inputs)
    port = free_port()
    bin_folder = str(Path(sys.executable).parent)
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mlflow",
            "models",
            "serve",
            "-m",
            f"models:/{model_id}",
            "-h",
            HOST,
            "-p",
            str(port),
            "--env-manager",
            "local",
            "--workers",
            "1",
        ],
        env=os.environ
        | {"MLFLOW_TRACKING_URI": default_uri(root), "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        request = urllib.request.Request(
            f"http://{HOST}:{port}/invocations",
            json.dumps({"inputs": inputs.tolist()}).encode(),
            {"Content-Type": "application/json"},
        )
        for _ in range(240):
            assert server.poll() is None
            try:
                answer = json.load(urllib.request.urlopen(request, timeout=20))
                break
            except OSError:
                time.sleep(0.5)
        np.testing.assert_allclose(answer["predictions"], predictions(module, inputs), atol=1e-5)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
