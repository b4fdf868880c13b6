"""``runner ui`` as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from runner.cli import ui
from runner.errors import UserError
from runner.run.status import write_status
from runner.tracking.mirror import sync
from runner.tracking.server import HOST, free_port


def start_ui(*arguments: str) -> subprocess.Popen:
    code = "import sys; from runner.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, "ui", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def read_until(process: subprocess.Popen, word: str) -> str:
    output = ""
    for line in process.stdout:
        output += line
        if word in line:
            return output
    raise AssertionError(output)


@pytest.mark.parametrize(("folder", "signum"), [(".", signal.SIGINT), ("not/there/yet", signal.SIGTERM)])
def test_starts_on_the_loopback_and_stops_cleanly(root, folder, signum):
    """Without a store, it creates one."""
    port = free_port()
    process = start_ui("--root", str(root / folder), "--port", str(port))
    output = read_until(process, "Ctrl-C")
    assert f"http://{HOST}:{port}/#/experiments?workflowType=machine_learning" in output
    assert "No runs in" in output
    request = urllib.request.Request(
        f"http://{HOST}:{port}/api/2.0/mlflow/experiments/search",
        json.dumps({"max_results": 5}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert json.load(answer)["experiments"][0]["name"] == "Default"
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    listening = {
        connection.laddr.ip
        for member in family
        for connection in member.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {HOST}
    process.send_signal(signum)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rest.strip() == "Dashboard ended."
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert (root / folder / "mlflow.db").stat().st_size > 0


def test_occupied_port_is_rejected(monkeypatch):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"--port {port} is in use"):
            ui.choose_port(port)
        monkeypatch.setattr(ui, "DEFAULT_PORT", port)
        assert ui.choose_port(None) != port
    assert ui.choose_port(None) == port


@pytest.mark.parametrize("port", [0, -1, 70_000])
def test_invalid_port_is_rejected(port):
    with pytest.raises(UserError, match="from 1 to 65535"):
        ui.choose_port(port)


def test_page_shows_the_experiment_of_the_newest_run(make_run, root):
    assert ui.page_of(root) == "/#/experiments?workflowType=machine_learning"
    sync(make_run())
    assert ui.page_of(root) == "/#/experiments/1/runs?workflowType=machine_learning"


def test_missing_runs_are_reported(make_run, root):
    assert ui.hints(Path(root))[0].startswith("No runs in")
    run = make_run("one")
    make_run("two", state=None)
    assert ui.hints(root) == ["1 of 2 runs are incomplete in it: `runner sync --all` sends the rest."]
    sync(run)
    assert ui.hints(root) == []
    write_status(run, state="running")
    write_status(run, state="failed")
    assert len(ui.hints(root)) == 1
