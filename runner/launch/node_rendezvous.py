"""Runs on several machines: the same command on each, and a rendezvous address in ``launcher.rendezvous``.

The machine with that address serves a key-value store there for the duration of the run. It creates the run
directory on a shared disk; the agents of all machines use the same store for their rendezvous.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from runner.config.schema import Launcher
from runner.errors import ConfigError, ControlSignal, Problem, RunFailedError, RunnerError, UserError
from runner.run.directory import RunDir

__all__ = ["NodeRendezvous", "interface_of", "meet", "num_nodes", "reject_nodes"]

RUN, READY, STOP, LEFT = "runner/run", "runner/ready", "runner/stop", "runner/left"
FAREWELL_S = 20.0


@dataclass
class NodeRendezvous:
    """
    Attributes:
        endpoint: host and port of the store.
        address: address of this machine, as reached by the others.
        is_first: whether this machine serves the store.
        wait_s: time in seconds to wait for the other machines.
    """

    store: Any
    endpoint: str
    address: str
    is_first: bool
    num_nodes: int
    wait_s: float

    def decide(self, make: Callable[[], RunDir | None]) -> RunDir | None:
        """The run directory chosen by the first machine.

        Raises:
            UserError: the first machine reported an error; its own output contains the reason.
            RunFailedError: the first machine did not respond.
        """
        if not self.is_first:
            path = self.hear(RUN)
            if path in ("", "-"):
                self.farewell()
            if not path:
                raise UserError(
                    f"the machine at {self.endpoint} has nothing to train; see its output for the reason."
                )
            return None if path == "-" else RunDir(path)
        try:
            run = make()
        except (RunnerError, ControlSignal):
            self.tell(RUN, "")
            self.farewell()
            raise
        self.tell(RUN, "-" if run is None else str(run.path.absolute()))
        if run is None:
            self.farewell()
        return run

    def tell(self, key: str, value: str) -> None:
        self.store.set(key, value)

    def hear(self, key: str) -> str:
        try:
            return self.store.get(key).decode()
        except RuntimeError as error:
            raise RunFailedError(
                f"the machine at {self.endpoint} has not responded for {self.wait_s:.0f} s."
            ) from error

    def heard(self, key: str) -> bool:
        try:
            return self.store.check([key])
        except RuntimeError:  # the first machine has left; the agent notices that too
            return False

    def farewell(self) -> None:
        """Lets the first machine leave last, because the store ends with it."""
        try:
            self.store.add(LEFT, 1)
            until = time.monotonic() + FAREWELL_S
            while self.is_first and self.store.add(LEFT, 0) < self.num_nodes and time.monotonic() < until:
                time.sleep(0.2)
        except RuntimeError:
            pass


_met: dict[str, NodeRendezvous] = {}


def num_nodes(config: Mapping[str, Any]) -> int:
    return config["hardware"].get("num_nodes") or 1


def meet(config: Mapping[str, Any]) -> NodeRendezvous | None:
    """The rendezvous of the config's machines, one per process; None for a single machine.

    Raises:
        RunFailedError: the other machines were not reached in time.
    """
    launcher = Launcher(**config["launcher"])
    if num_nodes(config) == 1 or launcher.kind not in ("local", "elastic"):
        return None
    endpoint = str(launcher.rendezvous)
    if endpoint not in _met:
        _met[endpoint] = open_meeting(endpoint, num_nodes(config), launcher.wait_for_nodes_s)
    return _met[endpoint]


def reject_nodes(config: Mapping[str, Any], command: str) -> None:
    """
    Raises:
        ConfigError: several machines are configured for a command that creates several run directories.
    """
    if num_nodes(config) > 1 and config["launcher"]["kind"] in ("local", "elastic"):
        text = (
            f"hardware.num_nodes={num_nodes(config)}: `{command}` runs on one machine, or with launcher=slurm "
            "or launcher=ray. Machines that meet at launcher.rendezvous are for `runner train` and `runner "
            "resume`."
        )
        raise ConfigError(Problem("hardware.num_nodes", text, "incompatible"))


def open_meeting(endpoint: str, nodes: int, wait_s: float) -> NodeRendezvous:
    from torch.distributed import TCPStore

    host, _, port = endpoint.rpartition(":")
    first = may_serve(host, int(port))
    try:
        address = host if first else first_contact(host, int(port), wait_s)
        store = TCPStore(
            host, int(port), is_master=first, timeout=timedelta(seconds=wait_s), wait_for_workers=False
        )
    except (RuntimeError, OSError) as error:
        raise RunFailedError(
            f"launcher.rendezvous={endpoint}: no response within {wait_s:.0f} s. Is the same command running "
            "on the machine with that address, and can it be reached from here? "
            f"({str(error).splitlines()[0]})"
        ) from error
    return NodeRendezvous(store, endpoint, address, first, nodes, wait_s)


def may_serve(host: str, port: int) -> bool:
    """Whether the address belongs to this machine and its port is free.

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
    """Waits until the first machine accepts connections.

    Returns:
        The address of this machine on the network that reaches the first one.
    """
    until = time.monotonic() + wait_s
    while True:
        try:
            with socket.create_connection((host, port), timeout=5) as way:
                return way.getsockname()[0]
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def interface_of(address: str) -> dict[str, str]:
    """Environment variables that set the network interface for collectives, unless the user has set them."""
    import psutil

    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in addresses):
            return {variable: os.environ.get(variable, name) for variable in names}
    return {}
