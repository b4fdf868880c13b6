"""Several workers on one run directory, under PyTorch's elastic agent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from runner.config.schema import Launcher
from runner.distributed.failure import Failure, clear_failures, first_failure, read_failures
from runner.distributed.heartbeat import read_heartbeats
from runner.distributed.store import interface_of
from runner.errors import ConfigError, Interrupted, OutOfTime, Problem, Pruned, RunFailedError, UserError
from runner.launch.node_rendezvous import (
    READY,
    STOP,
    NodeRendezvous,
    join_rendezvous,
    num_nodes,
)
from runner.run.child_process import SAFE_PATH, module_command
from runner.run.directory import RunDir
from runner.run.lock import HELD_BY_PARENT, locked
from runner.run.state import RunState
from runner.run.status import read_status, write_status

__all__ = ["clear_previous_attempt", "error_of", "launch", "needs_agent", "num_workers"]

POLL_INTERVAL_S = 0.5
NON_RETRYABLE = ("mistake", "final", "time")
"""Kinds of failures that a retry would not fix."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
FAILURE_GRACE_S = 3.0
"""Time in seconds that ranks have to report after losing another rank, before the agent is terminated."""


def needs_agent(config: Mapping[str, Any]) -> bool:
    """Return whether a run needs separate worker processes.

    It does for several devices, and for a launcher that restarts workers.
    """
    hardware = config["hardware"]
    return (
        config["launcher"]["kind"] == "elastic"
        or hardware.get("strategy") in ("ddp", "fsdp")
        or num_nodes(config) > 1
        or hardware.get("devices") not in (None, 1)
    )


def num_workers(hardware: Mapping[str, Any]) -> int:
    """Return the number of workers on this machine, one per device.

    Args:
        hardware: the ``hardware`` node of the config.

    Raises:
        ConfigError: fewer devices are available than requested.
    """
    devices, accelerator = hardware.get("devices") or 1, hardware.get("accelerator") or "auto"
    if accelerator == "cpu" and devices != "all":
        return int(devices)
    import torch

    available = torch.cuda.device_count()
    if devices == "all" and available:
        return available
    if devices == "all" or (devices > available and (available or accelerator == "gpu")):
        text = f"hardware.devices={devices}, but PyTorch sees {available} CUDA devices here."
        remedy = "Use hardware=auto, or hardware=cpu_ddp for several processes on the CPU."
        raise ConfigError(Problem("hardware.devices", text, "unavailable", remedy))
    return int(devices)


def launch(
    run: RunDir, config: Mapping[str, Any], worker: str = "runner.launch.rank_worker"
) -> dict[str, Any]:
    """Start the workers, wait until they end, and return the run's results.

    Args:
        run: the run to execute.
        config: the run's config.
        worker: the module that each worker executes.

    Raises:
        Pruned: a sweep ended the run.
        Interrupted: a signal ended the workers; the state is saved.
        RunFailedError: a rank failed more than ``launcher.max_restarts`` times; the message names the rank.
    """
    run = RunDir(run.path.absolute())
    rendezvous = join_rendezvous(config)
    # Of several machines, the first one holds the lock, since rank 0 runs there.
    with locked(run) if rendezvous is None or rendezvous.is_first else nullcontext():
        clear_previous_attempt(run, rendezvous)
        agent = start_agent(run, config, worker, rendezvous)
        with forward_signals(agent) as signals:
            code = wait_for_agent(agent, run, rendezvous, signals)
    if rendezvous is not None:
        rendezvous.leave()
    kill_orphans(run, worker)
    state = RunState(run)
    if code == 0 and state.is_finished:
        return state.results
    if code == 0 and state.status.state == "pruned":
        raise Pruned(state.status.reason or "pruned")
    raise error_of(run, signals[0] if signals else None)


def clear_previous_attempt(run: RunDir, rendezvous: NodeRendezvous | None) -> None:
    """Remove the failure records of an earlier attempt before the first rank of this one starts.

    Args:
        run: the run to execute.
        rendezvous: of several machines, the first one removes the records and the others wait for it.
    """
    if rendezvous is not None and not rendezvous.is_first:
        rendezvous.get(READY)
        return
    run.logs.mkdir(exist_ok=True)
    clear_failures(run)
    for heartbeat in run.logs.glob("rank*.pulse.json"):
        heartbeat.unlink()
    if rendezvous is not None:
        rendezvous.set(READY, "1")


def start_agent(
    run: RunDir, config: Mapping[str, Any], worker: str, rendezvous: NodeRendezvous | None
) -> subprocess.Popen[bytes]:
    workers, restarts = num_workers(config["hardware"]), Launcher(**config["launcher"]).max_restarts
    command = module_command("runner.launch.agent", str(run.path), str(workers), str(restarts), worker)
    if rendezvous is not None:
        os.environ.update(interface_of(rendezvous.address))
        shared = ("num_nodes", "endpoint", "address", "wait_s")
        command.append(json.dumps({name: getattr(rendezvous, name) for name in shared}))
    lock = {HELD_BY_PARENT: os.path.realpath(run.path)}
    return subprocess.Popen(
        command, env=os.environ | SAFE_PATH | lock, start_new_session=True
    )  # Ctrl-C is forwarded by this process


@contextmanager
def forward_signals(agent: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Yield the list of signals received so far.

    The first signal is forwarded to the ranks, which then save their state.
    """
    received: list[int] = []

    def handle(signum: int, frame: Any) -> None:
        received.append(signum)
        if len(received) == 1:
            agent.send_signal(signal.SIGTERM)
        elif signum == signal.SIGINT:
            agent.kill()  # the ranks do not outlive it

    try:
        before = {signum: signal.signal(signum, handle) for signum in SIGNALS}
    except ValueError:  # signal handlers can only be set in the main thread
        before = {}
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        if agent.poll() is None:
            agent.kill()
            agent.wait()


def wait_for_agent(
    agent: subprocess.Popen[bytes], run: RunDir, rendezvous: NodeRendezvous | None, signals: list[int]
) -> int:
    """Wait for the agent; terminate it if a rank failed in a way that a retry would not fix.

    Args:
        agent: the agent's process.
        run: the run that its workers execute.
        rendezvous: connection to the other machines, if any.
        signals: signals that this process received; one received on another machine is added.

    Returns:
        The agent's exit code.
    """
    failed_at: float | None = None
    announced = False
    while True:
        try:
            return agent.wait(timeout=POLL_INTERVAL_S)
        except subprocess.TimeoutExpired:
            pass
        if rendezvous is not None and signals and not announced:
            announced = True
            rendezvous.set(STOP, str(signals[0]))
        elif rendezvous is not None and not signals and rendezvous.is_set(STOP):
            signals.append(int(rendezvous.get(STOP)))
            announced = True
            agent.terminate()
        if failed_at is None and any(f.kind in NON_RETRYABLE for f in read_failures(run)):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > FAILURE_GRACE_S:
            agent.terminate()
            failed_at = float("inf")


def kill_orphans(run: RunDir, worker: str) -> None:
    """Kill ranks that outlived their agent, on systems whose kernel does not do so."""
    for heartbeat in read_heartbeats(run):
        try:
            if b"runner.launch.agent" in command_of(parent_of(heartbeat.pid)):
                continue  # belongs to another machine's agent that shares this process namespace
            command = command_of(heartbeat.pid)
            if worker.encode() in command and str(run.path).encode() in command:
                os.kill(heartbeat.pid, signal.SIGKILL)
        except OSError:
            continue


def command_of(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def error_of(run: RunDir, signum: int | None) -> Exception:
    """Return the exception for the failure that ended the ranks; its reason is also written to the status.

    Args:
        run: the run that has ended without success.
        signum: the signal that this process received, if any.
    """
    failure = first_failure(list(read_failures(run)))
    status = read_status(run)
    if signum is not None and (failure is None or failure.kind in ("left", "killed", "error")):
        reason = status.reason if status.state == "interrupted" else "ended before its state was saved again"
        write_status(run, state="interrupted", reason=reason)
        return Interrupted(reason or "interrupted", signum)
    if failure is None:
        failure = Failure(
            0,
            "killed",
            f"the agent of this run ended without an error message; see {run.logs / 'agent.log'}.",
        )
    if failure.kind == "time":
        write_status(run, state="interrupted", reason=failure.message)
        return OutOfTime(failure.message)
    write_status(run, state="failed", reason=failure.message)
    if failure.kind == "mistake":
        return UserError(failure.message)
    return RunFailedError(failure_message(run, failure))


def failure_message(run: RunDir, failure: Failure) -> str:
    if failure.kind == "final":
        return failure.message
    stack = f"\nIts stack:\n{failure.stack}" if failure.stack else ""
    return f"{failure.message}{stack}\nIts log: {run.logs / f'rank{failure.rank}.log'}"
