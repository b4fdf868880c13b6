"""Runs on several machines: the same command on each, and a rendezvous address in ``launcher.rendezvous``.

The machine with that address serves a key-value store there for the duration of the run. It creates the run
directory on a shared disk; the agents of all machines use the same store for their rendezvous.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from runner.config.schema import Launcher
from runner.distributed.store import serve_store
from runner.errors import ConfigError, ControlSignal, Problem, RunFailedError, RunnerError, UserError
from runner.run.directory import RunDir

__all__ = ["NodeRendezvous", "join_rendezvous", "num_nodes", "reject_nodes"]

RUN, READY, STOP, LEFT = "runner/run", "runner/ready", "runner/stop", "runner/left"
LEAVE_TIMEOUT_S = 20.0


@dataclass
class NodeRendezvous:
    """This machine's connection to the other machines of a run.

    Attributes:
        store: PyTorch's key-value store, which the first machine serves.
        endpoint: host and port of the store.
        address: address of this machine, as reached by the others.
        is_first: whether this machine serves the store.
        num_nodes: number of machines.
        wait_s: time in seconds to wait for the other machines.
    """

    store: Any
    endpoint: str
    address: str
    is_first: bool
    num_nodes: int
    wait_s: float

    def decide(self, make: Callable[[], RunDir | None]) -> RunDir | None:
        """Return the run directory chosen by the first machine.

        Args:
            make: called on the first machine only; None means that the run has no work left.

        Raises:
            UserError: the first machine reported an error; its own output contains the reason.
            RunFailedError: the first machine did not respond.
        """
        if not self.is_first:
            path = self.get(RUN)
            if path in ("", "-"):
                self.leave()
            if not path:
                raise UserError(
                    f"the machine at {self.endpoint} has nothing to train; see its output for the reason."
                )
            return None if path == "-" else RunDir(path)
        try:
            run = make()
        except (RunnerError, ControlSignal):
            self.set(RUN, "")
            self.leave()
            raise
        self.set(RUN, "-" if run is None else str(run.path.absolute()))
        if run is None:
            self.leave()
        return run

    def set(self, key: str, value: str) -> None:
        """Store a value for all machines."""
        self.store.set(key, value)

    def get(self, key: str) -> str:
        """Return a value, waiting until another machine has set it.

        Raises:
            RunFailedError: it was not set in time, or the first machine is gone.
        """
        try:
            return bytes(self.store.get(key)).decode()
        except RuntimeError as error:
            raise RunFailedError(
                f"the machine at {self.endpoint} has not responded for {self.wait_s:.0f} s."
            ) from error

    def is_set(self, key: str) -> bool:
        """Return whether a value has been set, without waiting."""
        try:
            return bool(self.store.check([key]))
        except RuntimeError:  # the first machine has left; the agent detects that too
            return False

    def leave(self) -> None:
        """Disconnect. The first machine waits until the others have left, because it serves the store."""
        try:
            self.store.add(LEFT, 1)
            until = time.monotonic() + LEAVE_TIMEOUT_S
            while self.is_first and self.store.add(LEFT, 0) < self.num_nodes and time.monotonic() < until:
                time.sleep(0.2)
        except RuntimeError:
            pass


_joined: dict[str, NodeRendezvous] = {}


def num_nodes(config: Mapping[str, Any]) -> int:
    """Return the number of machines that a config requests."""
    return int(config["hardware"].get("num_nodes") or 1)


def join_rendezvous(config: Mapping[str, Any]) -> NodeRendezvous | None:
    """Return the rendezvous of the config's machines, one per process; None for a single machine.

    Raises:
        RunFailedError: the other machines were not reached in time.
    """
    launcher = Launcher(**config["launcher"])
    if num_nodes(config) == 1 or launcher.kind not in ("local", "elastic"):
        return None
    endpoint = str(launcher.rendezvous)
    if endpoint not in _joined:
        _joined[endpoint] = connect(endpoint, num_nodes(config), launcher.wait_for_nodes_s)
    return _joined[endpoint]


def reject_nodes(config: Mapping[str, Any], command: str) -> None:
    """Reject several machines for a command that creates several run directories.

    Raises:
        ConfigError: the config requests several machines without a cluster.
    """
    if num_nodes(config) > 1 and config["launcher"]["kind"] in ("local", "elastic"):
        text = (
            f"hardware.num_nodes={num_nodes(config)}: `{command}` runs on one machine, or with "
            "launcher=slurm or launcher=ray. Only `runner train` and `runner resume` support several "
            "machines that are connected by launcher.rendezvous."
        )
        raise ConfigError(Problem("hardware.num_nodes", text, "incompatible"))


def connect(endpoint: str, nodes: int, wait_s: float) -> NodeRendezvous:
    from torch.distributed import TCPStore

    host, _, port = endpoint.rpartition(":")
    first = can_serve(host, int(port))
    try:
        address = host if first else first_contact(host, int(port), wait_s)
        if first:
            store = serve_store(host, int(port), wait_s, is_single_machine=False)
        else:
            timeout = timedelta(seconds=wait_s)
            store = TCPStore(host, int(port), is_master=False, timeout=timeout, wait_for_workers=False)
    except (RuntimeError, OSError) as error:
        raise RunFailedError(
            f"launcher.rendezvous={endpoint}: no response within {wait_s:.0f} s. Is the same command running "
            "on the machine with that address, and can it be reached from here? "
            f"({str(error).splitlines()[0]})"
        ) from error
    return NodeRendezvous(store, endpoint, address, first, nodes, wait_s)


def can_serve(host: str, port: int) -> bool:
    """Return whether the address belongs to this machine and its port is free.

    Raises:
        ConfigError: the host name cannot be resolved.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        text = f"launcher.rendezvous={host}:{port}: {host} cannot be resolved ({error.strerror})."
        raise ConfigError(Problem("launcher.rendezvous", text, "not_found")) from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
                return False
            text = f"launcher.rendezvous={host}:{port} cannot be served: {error.strerror}."
            raise ConfigError(Problem("launcher.rendezvous", text, "unavailable")) from error
    return True


def first_contact(host: str, port: int, wait_s: float) -> str:
    """Wait until the first machine accepts connections.

    Returns:
        The address of this machine on the network that reaches the first one.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                return str(connection.getsockname()[0])
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
