"""Several workers on one run directory, under PyTorch's elastic agent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runner.config.schema import Launcher
from runner.distributed.failure import Failure, clear_failures, first_failure, read_failures
from runner.distributed.heartbeat import read_heartbeats
from runner.errors import ConfigError, Interrupted, OutOfTime, Pruned, RunFailed, UserError
from runner.launch.node_rendezvous import READY, STOP, NodeRendezvous, interface_of, meet, num_nodes
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.status import read_status, write_status

__all__ = ["launch", "needs_agent", "num_workers", "reason_of"]

POLL_INTERVAL_S = 0.5
NON_RETRYABLE = ("mistake", "final", "time")
"""Kinds of failures that another try would not mend."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
FAILURE_GRACE_S = 3.0
"""How long ranks that lost another one have to say so, before the agent is ended."""


def needs_agent(config: Mapping[str, Any]) -> bool:
    """Whether a run needs processes of its own: several devices, or a launcher that starts a worker anew."""
    hardware = config["hardware"]
    return (
        config["launcher"]["kind"] == "elastic"
        or hardware.get("strategy") in ("ddp", "fsdp")
        or num_nodes(config) > 1
        or hardware.get("devices") not in (None, 1)
    )


def num_workers(hardware: Mapping[str, Any]) -> int:
    """One a device.

    Raises:
        ConfigError: there are not so many.
    """
    devices, accelerator = hardware.get("devices") or 1, hardware.get("accelerator") or "auto"
    if accelerator == "cpu" and devices != "all":
        return devices
    import torch

    there = torch.cuda.device_count()
    if devices == "all" and there:
        return there
    if devices == "all" or (devices > there and (there or accelerator == "gpu")):
        raise ConfigError(
            f"hardware.devices={devices}, but PyTorch sees {there} CUDA devices here. "
            "Use hardware=auto, or hardware=cpu_ddp for several processes on the processor."
        )
    return devices


def launch(run: RunDir, config: Mapping[str, Any], worker: str = "runner.worker") -> dict[str, Any]:
    """Starts the workers, waits for their end, and returns the run's results.

    Args:
        worker: the module that each of them executes.

    Raises:
        Pruned: a sweep ended the run.
        Interrupted: a signal ended them; the state is saved.
        RunFailed: a rank failed, more often than ``launcher.max_restarts``; the message names it.
    """
    run = RunDir(run.path.absolute())
    meeting = meet(config)
    tidy(run, meeting)
    agent = start_agent(run, config, worker, meeting)
    with forward_signals(agent) as signals:
        code = wait(agent, run, meeting, signals)
    if meeting is not None:
        meeting.farewell()
    end_orphans(run, worker)
    status = read_status(run)
    if code == 0 and status.state == "finished":
        return read_json(run.results_path)
    if code == 0 and status.state == "pruned":
        raise Pruned(status.reason or "pruned")
    raise reason_of(run, signals[0] if signals else None)


def tidy(run: RunDir, meeting: NodeRendezvous | None) -> None:
    """What an earlier start has left, before the first of this one's ranks says something."""
    if meeting is not None and not meeting.is_first:
        meeting.hear(READY)
        return
    run.logs.mkdir(exist_ok=True)
    clear_failures(run)
    for leftover in run.logs.glob("rank*.pulse.json"):
        leftover.unlink()
    if meeting is not None:
        meeting.tell(READY, "1")


def start_agent(run: RunDir, config: Mapping[str, Any], worker: str, meeting: NodeRendezvous | None) -> subprocess.Popen:
    workers, restarts = num_workers(config["hardware"]), Launcher(**config["launcher"]).max_restarts
    command = [sys.executable, "-m", "runner.launch.agent", str(run.path), str(workers), str(restarts), worker]
    if meeting is not None:
        os.environ.update(interface_of(meeting.address))
        told = ("num_nodes", "endpoint", "address", "wait_s")
        command.append(json.dumps({name: getattr(meeting, name) for name in told}))
    return subprocess.Popen(command, start_new_session=True)  # Ctrl-C reaches it through here


@contextmanager
def forward_signals(agent: subprocess.Popen) -> Iterator[list[int]]:
    """The signals that came meanwhile. The first is passed on to the ranks, which save their state."""
    came: list[int] = []

    def handle(signum: int, frame: Any) -> None:
        came.append(signum)
        if len(came) == 1:
            agent.send_signal(signal.SIGTERM)
        elif signum == signal.SIGINT:
            agent.kill()  # the ranks do not outlive it

    try:
        before = {signum: signal.signal(signum, handle) for signum in SIGNALS}
    except ValueError:  # not the main thread: signals are somebody else's
        before = {}
    try:
        yield came
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if agent.poll() is None:
            agent.kill()
            agent.wait()


def wait(agent: subprocess.Popen, run: RunDir, meeting: NodeRendezvous | None, signals: list[int]) -> int:
    """The agent's exit code. It is ended when a rank has failed in a way that another try would not mend.

    Args:
        signals: those that came here; one that came on another machine is added.
    """
    hopeless_at, told = None, False
    while True:
        try:
            return agent.wait(timeout=POLL_INTERVAL_S)
        except subprocess.TimeoutExpired:
            pass
        if meeting is not None and signals and not told:
            told = True
            meeting.tell(STOP, str(signals[0]))
        elif meeting is not None and not signals and meeting.heard(STOP):
            signals.append(int(meeting.hear(STOP)))
            told = True
            agent.terminate()
        if hopeless_at is None and any(f.kind in NON_RETRYABLE for f in read_failures(run)):
            hopeless_at = time.monotonic()
        if hopeless_at is not None and time.monotonic() - hopeless_at > FAILURE_GRACE_S:
            agent.terminate()
            hopeless_at = float("inf")


def end_orphans(run: RunDir, worker: str) -> None:
    """No rank outlives its agent; this is for systems whose kernel does not see to that."""
    for pulse in read_heartbeats(run):
        try:
            if b"runner.launch.agent" in command_of(parent_of(pulse.pid)):
                continue  # another machine's agent that shares this one's processes
            command = command_of(pulse.pid)
            if worker.encode() in command and str(run.path).encode() in command:
                os.kill(pulse.pid, signal.SIGKILL)
        except OSError:
            continue


def command_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def reason_of(run: RunDir, signum: int | None) -> Exception:
    """What ended the ranks, and the status says the same."""
    failure = first_failure(list(read_failures(run)))
    status = read_status(run)
    if signum is not None and (failure is None or failure.kind in ("left", "killed", "error")):
        reason = status.reason if status.state == "interrupted" else "ended before its state was saved anew"
        write_status(run, state="interrupted", reason=reason)
        return Interrupted(reason or "interrupted", signum)
    if failure is None:
        failure = Failure(0, "killed", f"the agent of this run ended without a word; see {run.logs / 'agent.log'}.")
    if failure.kind == "time":
        write_status(run, state="interrupted", reason=failure.message)
        return OutOfTime(failure.message)
    write_status(run, state="failed", reason=failure.message)
    if failure.kind == "mistake":
        return UserError(failure.message)
    return RunFailed(told(run, failure))


def told(run: RunDir, failure: Failure) -> str:
    if failure.kind == "final":
        return failure.message
    stack = f"\nIt was at:\n{failure.stack}" if failure.stack else ""
    return f"{failure.message}{stack}\nIts log: {run.logs / f'rank{failure.rank}.log'}"
