"""Key-value stores of process groups that listen on one address only.

``torch.distributed.TCPStore`` (torch 2.15) listens on all interfaces and has no authentication: any process
that reaches its port can replace the addresses to which the ranks connect, and the elastic agent unpickles
the state of its rendezvous from it. The stores of runner listen on a socket that is bound before.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is imported only if there are several ranks
    from torch.distributed import TCPStore

__all__ = ["LOOPBACK", "interface_of", "is_loopback", "serve_store"]

LOOPBACK = "127.0.0.1"
BACKLOG = 1024
"""Connections that wait to be accepted; every rank opens several."""


def serve_store(host: str, port: int, timeout_s: float, is_single_machine: bool) -> TCPStore:
    """Serve a store on the address of a host name.

    Args:
        host: name or IP address, by which the ranks connect.
        port: port; 0 chooses a free one, see ``TCPStore.port``.
        timeout_s: time in seconds that operations wait.
        is_single_machine: whether all ranks run on this machine. If they do not and the name refers to the
            loopback interface here only, as the own name does on Debian, the store listens on all interfaces.

    Raises:
        OSError: the name cannot be resolved, or the address cannot be bound.
    """
    from torch.distributed import TCPStore

    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    is_reachable = not ipaddress.ip_address(address[0]).is_loopback
    if not (is_single_machine or is_reachable or is_loopback(host)):
        address = ("" if family == socket.AF_INET else "::", *address[1:])
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        port = listener.getsockname()[1]
        timeout = timedelta(seconds=timeout_s)
        store = TCPStore(
            host,
            port,
            is_master=True,
            timeout=timeout,
            wait_for_workers=False,
            master_listen_fd=listener.fileno(),
        )
    except BaseException:
        listener.close()
        raise
    listener.detach()  # the store closes it
    return store


def is_loopback(host: str) -> bool:
    """Return whether a host name refers to the loopback interface on every machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def interface_of(address: str) -> dict[str, str]:
    """Return environment variables that set the network interface of collectives.

    Values that the user has set are kept.

    Args:
        address: IP address of the interface on this machine.
    """
    import psutil

    names = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in addresses):
            return {variable: os.environ.get(variable, name) for variable in names}
    return {}
