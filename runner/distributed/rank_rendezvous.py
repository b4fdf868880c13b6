"""Rendezvous of ranks started with the same command.

Rank 0 creates the run directory and broadcasts its path.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from runner.distributed.process_info import ProcessInfo, master_of_step
from runner.distributed.store import LOOPBACK, interface_of, is_loopback, serve_store
from runner.errors import ControlSignal, RunFailedError, RunnerError
from runner.run.directory import RunDir

if TYPE_CHECKING:  # torch is imported only if there are several ranks
    from torch.distributed import TCPStore

__all__ = ["broadcast_decision", "prepare_store"]

KEY = "runner/run"
AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE"
WAIT_S = 600.0
READ_WAIT_S = 20.0

_stores: list[TCPStore] = []
"""Kept open until the process ends, since other ranks may read the decision later than rank 0 continues."""

_served: dict[tuple[str, str], TCPStore] = {}
"""The store of this process by address and port."""


def broadcast_decision(
    process_info: ProcessInfo, decide: Callable[[RunDir | None], RunDir | None]
) -> RunDir | None:
    """Return the run selected by rank 0 on every rank.

    Args:
        process_info: rank of this process.
        decide: called on rank 0 only, with the run of the previous start of the same processes, or None.

    Returns:
        None if nothing has to be run.

    Raises:
        SystemExit: on all other ranks if rank 0 raised an error; only rank 0 prints it.
        RunFailedError: rank 0 did not decide in time.
    """
    store = open_store(process_info)
    _stores.append(store)
    if not process_info.is_first:
        return receive_decision(store, process_info)
    previous = json.loads(store.get(KEY)) if store.check([KEY]) else {}
    code = 1
    run = None
    try:
        run = decide(RunDir(Path(previous["run"])) if previous.get("run") else None)
        code = 0
    except (RunnerError, ControlSignal) as error:
        code = error.exit_code
        raise
    finally:
        store.set(KEY, json.dumps({"run": None if run is None else str(run.path.absolute()), "exit": code}))
        if code or run is None:
            wait_for_readers(store, process_info)
    return run


def receive_decision(store: TCPStore, process_info: ProcessInfo) -> RunDir | None:
    """Wait for the decision of rank 0.

    Raises:
        SystemExit: rank 0 raised an error.
        RunFailedError: rank 0 did not decide in time.
    """
    try:
        decision = json.loads(store.get(KEY))
        store.add(f"{KEY}/heard", 1)
    except RuntimeError as error:  # DistStoreError is a RuntimeError
        raise RunFailedError(
            f"rank {process_info.rank} has waited {WAIT_S:.0f} s for rank 0 to create the run directory."
        ) from error
    if decision["exit"]:
        raise SystemExit(decision["exit"])
    return RunDir(Path(decision["run"])) if decision["run"] else None


def wait_for_readers(store: TCPStore, process_info: ProcessInfo) -> None:
    """Wait until every rank has read the decision, since the store may end with rank 0."""
    until = time.monotonic() + READ_WAIT_S
    while store.add(f"{KEY}/heard", 0) < process_info.world_size - 1 and time.monotonic() < until:
        time.sleep(0.05)


def prepare_store(process_info: ProcessInfo) -> None:
    """Serve the store of the process group on rank 0, so that PyTorch does not serve it on all interfaces.

    Collectives of a single machine use the loopback interface.
    """
    set_master_env(process_info)
    if process_info.num_nodes == 1 or is_loopback(os.environ["MASTER_ADDR"]):
        os.environ.update(interface_of(LOOPBACK))
    if os.environ.get(AGENT_STORE) != "True":
        if process_info.is_first:
            serve_for_ranks(process_info)
        os.environ[AGENT_STORE] = "True"  # every rank connects as a client (torch 2.15)


def serve_for_ranks(process_info: ProcessInfo) -> TCPStore:
    """Serve the store at MASTER_ADDR and MASTER_PORT, once per process."""
    key = (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"])
    if key not in _served:
        _served[key] = serve_store(key[0], int(key[1]), WAIT_S, process_info.num_nodes == 1)
    return _served[key]


def set_master_env(process_info: ProcessInfo) -> None:
    """Set MASTER_ADDR and MASTER_PORT if the launcher has not set them."""
    if process_info.started_by == "srun":
        address, port = master_of_step(os.environ)
        os.environ.setdefault("MASTER_ADDR", address)
        os.environ.setdefault("MASTER_PORT", str(port))
    elif process_info.restart and os.environ.get(AGENT_STORE) == "True":
        move_master(process_info)


def move_master(process_info: ProcessInfo) -> None:
    """Choose a new rendezvous address after an elastic restart.

    The agent's store (torch 2.15) still contains the addresses of the previous ranks, so gloo would fail with
    "connectFullMesh … Connection refused".
    """
    store, key = open_store(process_info), f"runner/master/{process_info.restart}"
    if process_info.is_first:
        with socket.create_connection(
            (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), timeout=10
        ) as connection:
            address = connection.getsockname()[0]
        with socket.socket() as probe:
            probe.bind((address, 0))
            store.set(key, f"{address} {probe.getsockname()[1]}")
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = store.get(key).decode().split()
    os.environ[AGENT_STORE] = "False"


def open_store(process_info: ProcessInfo) -> TCPStore:
    """Open the key-value store that the process group will also use.

    This is the store of the elastic agent, or one served by rank 0.
    """
    from torch.distributed import TCPStore

    if process_info.started_by == "srun":
        set_master_env(process_info)
    if process_info.is_first and os.environ.get(AGENT_STORE) != "True":
        return serve_for_ranks(process_info)
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=False,
        timeout=timedelta(seconds=WAIT_S),
        wait_for_workers=False,
    )
