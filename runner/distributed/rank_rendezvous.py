"""Rendezvous of ranks that were started with the same command: rank 0 creates the run directory and
broadcasts its path.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from runner.distributed.process_info import ProcessInfo, master_of_step
from runner.errors import RunFailed, RunnerError
from runner.run.directory import RunDir

__all__ = ["broadcast_decision", "set_master_env"]

KEY = "runner/run"
AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE"
WAIT_S = 600.0

_stores: list = []
"""Kept open until the process ends: other ranks may read the decision after rank 0 has moved on."""


def broadcast_decision(
    process_info: ProcessInfo, decide: Callable[[RunDir | None], RunDir | None]
) -> RunDir | None:
    """The run that rank 0 selects, on every rank.

    Args:
        decide: called on rank 0 only, with the run of the previous start of the same processes, or None.

    Returns:
        None if nothing has to be run.

    Raises:
        SystemExit: on all other ranks if rank 0 raised an error; only rank 0 prints it.
        RunFailed: rank 0 did not answer in time.
    """
    store = open_store(process_info)
    _stores.append(store)
    if not process_info.is_first:
        return receive_decision(store, process_info)
    before = json.loads(store.get(KEY)) if store.check([KEY]) else {}
    code = 1
    run = None
    try:
        run = decide(RunDir(Path(before["run"])) if before.get("run") else None)
        code = 0
    except RunnerError as error:
        code = error.exit_code
        raise
    finally:
        store.set(KEY, json.dumps({"run": None if run is None else str(run.path.absolute()), "exit": code}))
        if code or run is None:
            wait_for_readers(store, process_info)
    return run


def receive_decision(store, process_info: ProcessInfo) -> RunDir | None:
    try:
        decision = json.loads(store.get(KEY))
        store.add(f"{KEY}/heard", 1)
    except RuntimeError as error:  # torch.distributed.DistStoreError is one
        raise RunFailed(
            f"rank {process_info.rank} has waited {WAIT_S:.0f} s for rank 0 to make the run directory."
        ) from error
    if decision["exit"]:
        raise SystemExit(decision["exit"])
    return RunDir(Path(decision["run"])) if decision["run"] else None


def wait_for_readers(store, process_info: ProcessInfo) -> None:
    """Waits until every rank has read the decision, because the store may end with rank 0."""
    until = time.monotonic() + 20
    while store.add(f"{KEY}/heard", 0) < process_info.world_size - 1 and time.monotonic() < until:
        time.sleep(0.05)


def set_master_env(process_info: ProcessInfo) -> None:
    """Sets MASTER_ADDR and MASTER_PORT if the launcher has not done so."""
    if process_info.started_by == "srun":
        address, port = master_of_step(os.environ)
        os.environ.setdefault("MASTER_ADDR", address)
        os.environ.setdefault("MASTER_PORT", str(port))
    elif process_info.restart and os.environ.get(AGENT_STORE) == "True":
        move_master(process_info)


def move_master(process_info: ProcessInfo) -> None:
    """Chooses a new rendezvous address after an elastic restart, because the agent's store (torch 2.15) still
    holds the addresses of the previous ranks.
    """
    store, key = open_store(process_info), f"runner/master/{process_info.restart}"
    if process_info.is_first:
        with socket.create_connection(
            (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), timeout=10
        ) as way:
            address = way.getsockname()[0]
        with socket.socket() as probe:
            probe.bind((address, 0))
            store.set(key, f"{address} {probe.getsockname()[1]}")
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = store.get(key).decode().split()
    os.environ[AGENT_STORE] = "False"


def open_store(process_info: ProcessInfo):
    """The key-value store that PyTorch's process group will also use: the agent's own, or one served by rank
    0.
    """
    from torch.distributed import TCPStore

    if process_info.started_by == "srun":
        set_master_env(process_info)
    serves = process_info.is_first and os.environ.get(AGENT_STORE) != "True"
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=serves,
        timeout=timedelta(seconds=WAIT_S),
        wait_for_workers=False,
        multi_tenant=True,
    )
