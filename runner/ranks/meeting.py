"""Ranks that each began with the same command find one run directory: the first makes it, the others hear of it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from runner.errors import RunFailed, RunnerError
from runner.ranks.place import Place, master_of_step
from runner.run.directory import RunDir

__all__ = ["agreed", "told_master"]

KEY = "runner/run"
AGENT_STORE = "TORCHELASTIC_USE_AGENT_STORE"
WAIT_S = 600.0

_stores: list = []
"""Open until the process ends: the others may hear of the run later than the first rank goes on."""


def agreed(place: Place, decide: Callable[[RunDir | None], RunDir | None]) -> RunDir | None:
    """The run that the first rank decides on, on every rank.

    Args:
        decide: called on the first rank only, with the run that an earlier start of the same processes was at.

    Returns:
        None when there is nothing to do.

    Raises:
        SystemExit: on the other ranks, when the first one has raised an error: it alone tells of it.
        RunFailed: the first rank has not said anything.
    """
    store = open_store(place)
    _stores.append(store)
    if not place.is_first:
        return hear(store, place)
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
            wait_for_readers(store, place)
    return run


def hear(store, place: Place) -> RunDir | None:
    try:
        told = json.loads(store.get(KEY))
        store.add(f"{KEY}/heard", 1)
    except RuntimeError as error:  # torch.distributed.DistStoreError is one
        raise RunFailed(f"rank {place.rank} has waited {WAIT_S:.0f} s for rank 0 to make the run directory.") from error
    if told["exit"]:
        raise SystemExit(told["exit"])
    return RunDir(Path(told["run"])) if told["run"] else None


def wait_for_readers(store, place: Place) -> None:
    """The first rank is about to leave, and perhaps the store with it."""
    until = time.monotonic() + 20
    while store.add(f"{KEY}/heard", 0) < place.world_size - 1 and time.monotonic() < until:
        time.sleep(0.05)


def told_master(place: Place) -> None:
    """Sets what PyTorch asks for in the environment, where the starter of this process has not done so."""
    if place.started_by == "srun":
        address, port = master_of_step(os.environ)
        os.environ.setdefault("MASTER_ADDR", address)
        os.environ.setdefault("MASTER_PORT", str(port))
    elif place.restart and os.environ.get(AGENT_STORE) == "True":
        move_master(place)


def move_master(place: Place) -> None:
    """Processes that torchrun has started anew meet elsewhere: in its store stand the addresses of those before."""
    store, key = open_store(place), f"runner/master/{place.restart}"
    if place.is_first:
        with socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), timeout=10) as way:
            address = way.getsockname()[0]
        with socket.socket() as probe:
            probe.bind((address, 0))
            store.set(key, f"{address} {probe.getsockname()[1]}")
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = store.get(key).decode().split()
    os.environ[AGENT_STORE] = "False"


def open_store(place: Place):
    """The key-value store that PyTorch's process group will use too: torchrun's own, or one of the first rank."""
    from torch.distributed import TCPStore

    if place.started_by == "srun":
        told_master(place)
    serves = place.is_first and os.environ.get(AGENT_STORE) != "True"
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=serves,
        timeout=timedelta(seconds=WAIT_S),
        wait_for_workers=False,
        multi_tenant=True,
    )
