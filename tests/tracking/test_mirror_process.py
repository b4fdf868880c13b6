"""The mirror as the process it is, beside a worker that is a process too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from runner.run.files import read_json, write_text
from runner.run.status import write_status
from runner.tracking.metric_tail import read_state
from runner.tracking.mirror import sync
from runner.tracking.mirror_process import MirrorProcess, start
from runner.tracking.settings import read_config
from runner.tracking.store import default_uri, open_store
from tests.processes import wait_for

WAIT_S = 120
WORKER = """
import sys, time
from runner.run.directory import RunDir
from runner.run.journal import Journal
from runner.run.status import write_status
from runner.tracking import start
from runner.tracking.mirror import sync
from runner.tracking.settings import read_config
run = RunDir(sys.argv[1])
write_status(run, state="running")
handle = start(run, read_config(run))
print(handle.process.pid, flush=True)
journal = Journal(run.metrics_path)
for step in range(10, 10_000):
    journal.log(step, 0, {"train/loss": 1 / (step + 1)})
    journal.flush()
    time.sleep(0.05)
"""


@pytest.fixture
def client(root):
    return open_store(default_uri(root))


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_starting_does_not_import_mlflow_in_the_worker():
    code = "import sys, runner.tracking; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_run_is_mirrored_until_it_finishes(make_run, client, log_steps, history):
    run = make_run(state=None)
    started = time.monotonic()
    handle = start(run, read_config(run))
    assert time.monotonic() - started < 2
    wait_for(lambda: read_state(run).tails)
    log_steps(run, range(10, 20))
    write_status(run, state="finished")
    write_text(run.report_path, "<html>")  # written behind the status, as a worker does
    assert handle.finish(WAIT_S)
    assert handle.note() is None
    assert handle.process.wait(WAIT_S) == 0
    run_id = read_json(run.tracking_path)["run_id"]
    assert client.get_run(run_id).info.status == "FINISHED"
    assert history(client, run_id, "train/loss") == [(step, 1 / (step + 1)) for step in range(20)]
    assert "report.html" in {file.path for file in client.list_artifacts(run_id)}


def test_killed_worker_ends_its_run_as_killed(make_run, client, history):
    run = make_run(state=None)
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(run.path)], stdout=subprocess.PIPE)
    mirror_pid = int(worker.stdout.readline())
    wait_for(lambda: read_state(run).tails.get("metrics"))
    worker.kill()
    worker.wait()
    wait_for(lambda: is_gone(mirror_pid))
    run_id = read_json(run.tracking_path)["run_id"]
    found = client.get_run(run_id)
    assert found.info.status == "KILLED"
    assert found.data.tags["runner.state"] == "lost"
    num_steps = len(run.metrics_path.read_bytes().splitlines())
    assert history(client, run_id, "train/loss") == [(step, 1 / (step + 1)) for step in range(num_steps)]


def test_unreachable_store_does_not_block_the_worker(make_run):
    run = make_run(uri="http://127.0.0.1:9")
    handle = start(run, read_config(run))
    wait_for(lambda: b"not sent" in (run.logs / "tracking.log").read_bytes())
    started = time.monotonic()
    assert not handle.finish(timeout_s=1)
    assert time.monotonic() - started < 3
    assert handle.note() == (
        "Not all in MLflow yet: it continues in the background; `runner sync one` sends the rest."
    )
    assert handle.process.poll() is None
    time.sleep(0.5)
    handle.process.terminate()  # the worker is done: it may be ended
    assert handle.process.wait(WAIT_S) == 143
    assert "see " in handle.note()


def test_signal_to_the_job_does_not_end_the_mirror_before_the_worker(make_run):
    run = make_run(state=None)
    handle = start(run, read_config(run))
    wait_for(lambda: read_state(run).tails)
    os.kill(handle.process.pid, signal.SIGTERM)
    os.kill(handle.process.pid, signal.SIGINT)
    time.sleep(1)
    assert handle.process.poll() is None
    write_status(run, state="interrupted")
    assert handle.finish(WAIT_S)
    assert read_state(run).status[0] == "KILLED"
    handle.process.wait(WAIT_S)


def test_mirror_of_a_resumed_run_takes_over(make_run):
    run = make_run(state=None, uri="http://127.0.0.1:9")
    old = start(run, read_config(run))
    wait_for(lambda: (run.path / ".sidecar").exists())
    claim = (run.path / ".sidecar").read_text()
    assert claim == str(old.process.pid)
    new = start(run, read_config(run))
    assert old.process.wait(WAIT_S) == 0
    assert "taken over" in (run.logs / "tracking.log").read_text()
    assert new.process.poll() is None
    new.process.stdin.close()
    time.sleep(0.5)
    new.process.terminate()
    new.process.wait(WAIT_S)


def test_system_metrics_are_sampled_and_mirrored(make_run, config_text, client):
    run = make_run(state=None)
    write_text(run.config_path, config_text().replace("system_metrics: false", "system_metrics: true"))
    handle = start(run, read_config(run))
    wait_for(lambda: (run.logs / "system.jsonl").exists() and (run.logs / "system.jsonl").stat().st_size)
    write_status(run, state="finished")
    assert handle.finish(WAIT_S)
    handle.process.wait(WAIT_S)
    metrics = client.get_run(read_state(run).run_id).data.metrics
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100
    assert metrics["system/system_memory_usage_megabytes"] > 100
    assert metrics["system/run_memory_usage_megabytes"] > 10
    assert sync(run).points == 0  # none was taken behind the last pass


def test_no_process_without_tracking(make_run):
    handle = start(make_run(), {"tracking": {"enabled": False}})
    assert handle.process is None
    assert handle.finish()
    assert handle.note() is None


def test_mirror_that_cannot_start_is_reported_at_the_end(make_run, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    handle = start(make_run(), {"tracking": {"enabled": True}})
    assert isinstance(handle, MirrorProcess)
    assert not handle.finish()
    assert "/nowhere/python" in handle.note() and "runner sync one" in handle.note()
