"""A real MLflow server that is killed, hangs and comes back during a run."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from runner.errors import RunnerError
from runner.run.status import write_status
from runner.tracking.metric_tail import read_state
from runner.tracking.mirror_process import start
from runner.tracking.server import HOST, Server, free_port, is_free
from runner.tracking.settings import read_config
from runner.tracking.store import default_uri, open_store
from tests.processes import wait_for


def num_shipped(run) -> int:
    """The last step that arrived, by the mirror's own account."""
    tail = read_state(run).tails.get("metrics")
    return tail.last["train/loss"][0] if tail and tail.last else -1


def test_server_killed_during_a_run_loses_no_point(make_run, root, log_steps, history):
    port = free_port()
    server = Server(default_uri(root), str(root), port)
    try:
        server.wait_ready()
        run = make_run(steps=10, state=None, uri=server.url)
        handle = start(run, read_config(run))
        wait_for(lambda: num_shipped(run) == 9)

        os.killpg(server.process.pid, signal.SIGSTOP)  # it hangs: connections open, no answer
        log_steps(run, range(10, 400))
        wait_for(lambda: b"not sent" in (run.logs / "tracking.log").read_bytes())
        os.killpg(server.process.pid, signal.SIGCONT)  # and now does what it was asked to before
        wait_for(lambda: num_shipped(run) == 399)

        log_steps(run, range(400, 900))
        wait_for(lambda: num_shipped(run) > 399)
        server.kill()
        log_steps(run, range(900, 1000))
        assert num_shipped(run) < 999

        server = Server(default_uri(root), str(root), port)
        server.wait_ready()
        log_steps(run, range(1000, 1010))
        write_status(run, state="finished")
        assert handle.finish(timeout_s=120)
        run_id = read_state(run).run_id
        assert history(open_store(default_uri(root)), run_id, "train/loss") == [
            (step, 1 / (step + 1)) for step in range(1010)
        ]
        assert open_store(server.url).get_run(run_id).info.status == "FINISHED"
        assert handle.process.wait(30) == 0
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2))
def test_server_killed_repeatedly_at_random_times(make_run, root, log_steps, history, seed):
    rng = random.Random(seed)
    port = free_port()
    run = make_run(steps=0, state=None, uri=f"http://{HOST}:{port}")
    handle = start(run, read_config(run))
    step = 0
    for _ in range(5):
        server = Server(default_uri(root), str(root), port)
        try:
            server.wait_ready()
            log_steps(run, range(step, step + 2000))
            step += 2000
            before = num_shipped(run)
            wait_for(lambda before=before: num_shipped(run) > before)
            time.sleep(rng.uniform(0, 2))  # in the midst of the 4000 points
        finally:
            server.kill()
            server.stop()
    write_status(run, state="interrupted")
    assert not handle.finish(timeout_s=1)
    with Server(default_uri(root), str(root), port) as server:
        server.wait_ready()
        assert handle.process.wait(300) == 0
    run_id = read_state(run).run_id
    client = open_store(default_uri(root))
    assert history(client, run_id, "train/loss") == [(each, 1 / (each + 1)) for each in range(step)]
    assert client.get_run(run_id).info.status == "KILLED"


def test_server_exits_with_its_parent_process(root):
    """Also when that one is killed without a word."""
    code = (
        "import sys; from runner.tracking.server import Server, free_port\n"
        "server = Server(sys.argv[1], sys.argv[2], free_port()); server.wait_ready()\n"
        "print(server.process.pid, flush=True); server.process.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, default_uri(root), str(root)], stdout=subprocess.PIPE
    )
    pid = int(parent.stdout.readline())
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(family) >= 2
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []


def test_server_start_failure_is_reported(root):
    server = Server("nonsense://store", str(root), free_port())
    with server, pytest.raises(RunnerError, match="ended immediately"):
        server.wait_ready()


def test_ports():
    port = free_port()
    assert is_free(port)
    with socket.socket() as taken:
        taken.bind((HOST, port))
        taken.listen()
        assert not is_free(port)
    assert not is_free(70_000)
