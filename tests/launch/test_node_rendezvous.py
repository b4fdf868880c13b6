"""Two machines on one run: network namespaces with a cable between them, and a shared folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.config.checks.environment import launching_problems
from runner.errors import ConfigError
from runner.launch.node_rendezvous import can_serve, reject_nodes
from runner.run.directory import RunDir
from runner.run.status import read_status
from tests.launch.test_elastic import QUICK, points, processes_on, rank_one, wait_for

FIRST, SECOND = "10.77.0.1", "10.77.0.2"
WORDS = [
    *QUICK, "data=digits", "hardware=multi_node", "hardware.accelerator=cpu", "hardware.devices=1",
    "regularization.dropout=0.2", "launcher.wait_for_nodes_s=120",
]  # fmt: skip


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def machines():
    """Prefixes of commands on each of two machines."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the program ip")
    names = [f"runner-{os.getpid()}-{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    try:
        ip(
            "link",
            "add",
            "cable0",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "cable1",
            "netns",
            names[1],
        )
        for name, address, end in zip(names, (FIRST, SECOND), ("cable0", "cable1"), strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            for device in ("lo", end):
                ip("-n", name, "link", "set", device, "up")
        yield [["ip", "netns", "exec", name] for name in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Both:
    """The same command on both machines."""

    def __init__(self, folder: Path, prefixes: list[list[str]], *words: str):
        self.folder, self.words, self.prefixes = folder, words, prefixes
        self.processes = [self.start(0), self.start(1)]

    def start(self, number: int) -> subprocess.Popen:
        command = [*self.prefixes[number], sys.executable, "-m", "runner", *self.words]
        with open(self.folder / f"machine{number}.out", "ab") as output:
            return subprocess.Popen(
                command, cwd=self.folder, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def ended(self) -> list[int]:
        return [process.wait(timeout=900) for process in self.processes]

    def said(self) -> str:
        return "\n".join((self.folder / f"machine{number}.out").read_text() for number in (0, 1))


def test_run_on_two_machines_stops_and_resumes(machines, tmp_path) -> None:
    train = ["train", *WORDS, f"launcher.rendezvous={FIRST}:29400", "trainer.max_epochs=100"]
    run = RunDir(tmp_path / "runs" / "stopped")
    both = Both(tmp_path, machines, *train, "run.name=stopped")
    wait_for(lambda: (pulse := rank_one(run)) is not None and pulse.step >= 20, both.processes[0])
    both.processes[1].send_signal(signal.SIGTERM)
    assert both.ended() == [143, 143], both.said()
    assert read_status(run).state == "interrupted" and not processes_on(run)

    both = Both(tmp_path, machines, "resume", str(run.path))
    wait_for(lambda: read_status(run).state == "running", both.processes[0])
    step = read_status(run).step
    wait_for(lambda: (pulse := rank_one(run)) is not None and pulse.step >= step + 20, both.processes[0])
    both.processes[1].kill()  # the second machine is lost, and comes back
    time.sleep(3)
    both.processes[1] = both.start(1)
    assert both.ended() == [0, 0], both.said()
    assert [path.parent.name for path in tmp_path.rglob("config.yaml")] == ["stopped"]
    assert [step for step, _, _ in points(run)["train/loss"]] == list(range(1, 100 * 17 + 1))


def test_two_agents_on_one_machine(tmp_path) -> None:
    """And what they find out when their commands differ."""
    train = ["train", *WORDS, "launcher.rendezvous=127.0.0.1:29417", "trainer.max_epochs=1", "run.name=loop"]
    both = Both(tmp_path, [[], []], *train)
    assert both.ended() == [0, 0], both.said()
    assert read_status(RunDir(tmp_path / "runs" / "loop")).state == "finished"
    assert both.said().count("this machine joins") == 1


@pytest.mark.quick
def test_several_machines_need_a_rendezvous() -> None:
    (problem,) = launching_problems({"kind": "local"}, {"num_nodes": 2})
    assert (problem.key, problem.kind) == ("launcher.rendezvous", "missing")
    assert "launcher.rendezvous=HOST:PORT" in problem.suggestion
    (problem,) = launching_problems({"kind": "local", "rendezvous": "here"}, {"num_nodes": 2})
    assert problem.kind == "invalid_value" and "expected HOST:PORT" in problem.message
    (problem,) = launching_problems({"kind": "local", "rendezvous": "10.0.0.1:29400"}, {})
    assert problem.kind == "no_effect" and "would have no effect" in problem.message
    assert launching_problems({"kind": "local", "rendezvous": "10.0.0.1:29400"}, {"num_nodes": 2}) == []


@pytest.mark.quick
def test_commands_that_create_runs_stay_on_one_machine() -> None:
    config = {"hardware": {"num_nodes": 2}, "launcher": {"kind": "local"}}
    with pytest.raises(ConfigError, match="`runner find-lr` runs on one machine"):
        reject_nodes(config, "runner find-lr")
    reject_nodes(config | {"launcher": {"kind": "slurm"}}, "runner find-lr")
    reject_nodes(config | {"hardware": {}}, "runner find-lr")


@pytest.mark.quick
def test_only_the_owner_of_a_free_address_can_serve() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.listen()
        assert not can_serve("127.0.0.1", port)
    assert can_serve("127.0.0.1", port)
    assert not can_serve("192.0.2.1", 29400), "an address reserved for documentation"


@pytest.mark.quick
def test_unresolvable_host_is_a_config_error(monkeypatch) -> None:
    def unknown(*_words, **_options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match="nowhere cannot be resolved"):
        can_serve("nowhere", 29400)
