"""Several machines on one run: the same command on each, and a meeting point in ``launcher.rendezvous``.

The machine that has the address serves a key-value store there for as long as it is at the run. It makes the run
directory, on a disk that all share; the agents of all machines meet over the same store.
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
from runner.errors import ConfigError, RunFailed, RunnerError, UserError
from runner.run.directory import RunDir

__all__ = ["NodeRendezvous", "interface_of", "meet", "num_nodes", "reject_nodes"]

RUN, READY, STOP, LEFT = "runner/run", "runner/ready", "runner/stop", "runner/left"
FAREWELL_S = 20.0


@dataclass
class NodeRendezvous:
    """
    Attributes:
        endpoint: host and port of the store.
        address: of this machine, as the others reach it.
        is_first: this machine serves the store.
        wait_s: how long one machine waits for the others.
    """

    store: Any
    endpoint: str
    address: str
    is_first: bool
    num_nodes: int
    wait_s: float

    def decide(self, make: Callable[[], RunDir | None]) -> RunDir | None:
        """The run that the first machine decides on.

        Raises:
            UserError: the first machine has found a mistake; it says which.
            RunFailed: nothing was heard of the first machine.
        """
        if not self.is_first:
            told = self.hear(RUN)
            if told in ("", "-"):
                self.farewell()
            if not told:
                raise UserError(f"the machine at {self.endpoint} has nothing to train; it says there why.")
            return None if told == "-" else RunDir(told)
        try:
            run = make()
        except RunnerError:
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
            raise RunFailed(f"the machine at {self.endpoint} has said nothing for {self.wait_s:.0f} s.") from error

    def heard(self, key: str) -> bool:
        try:
            return self.store.check([key])
        except RuntimeError:  # the first machine has gone; the agent notices that too
            return False

    def farewell(self) -> None:
        """The first machine goes last, for the store goes with it."""
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
    """The meeting of a config's machines, the same for the whole process; None for a single machine.

    Raises:
        RunFailed: the other machines were not reached in time.
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
        ConfigError: a command that makes run directories of its own is asked for several machines that meet by themselves.
    """
    if num_nodes(config) > 1 and config["launcher"]["kind"] in ("local", "elastic"):
        raise ConfigError(
            f"hardware.num_nodes={num_nodes(config)}: `{command}` runs on one machine, or with launcher=slurm or "
            "launcher=ray. Machines that meet at launcher.rendezvous are for `runner train` and `runner resume`."
        )


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
        raise RunFailed(
            f"launcher.rendezvous={endpoint}: nobody answers there within {wait_s:.0f} s. Is the same command running "
            f"on the machine with that address, and can it be reached from here? ({str(error).splitlines()[0]})"
        ) from error
    return NodeRendezvous(store, endpoint, address, first, nodes, wait_s)


def may_serve(host: str, port: int) -> bool:
    """Whether the address is this machine's and nobody serves there yet.

    Raises:
        ConfigError: the name stands for no address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise ConfigError(f"launcher.rendezvous={host}:{port}: {host} is no address ({error.strerror}).") from error
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
                return False
            raise ConfigError(f"launcher.rendezvous={host}:{port} cannot be served: {error.strerror}.") from error
    return True


def first_contact(host: str, port: int, wait_s: float) -> str:
    """Waits until somebody serves there.

    Returns:
        The address under which this machine reaches the first one.
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
    """Tells the libraries of collectives over which interface the others are reached, unless the user has."""
    import psutil

    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in addresses):
            return {variable: os.environ.get(variable, name) for variable in names}
    return {}
