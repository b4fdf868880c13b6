"""The stores of process groups listen on one address."""

from __future__ import annotations

import os
from datetime import timedelta

import psutil
import pytest
from torch.distributed import TCPStore

from runner.distributed.loopback_rendezvous import LoopbackRendezvous
from runner.distributed.store import interface_of, is_loopback, serve_store

pytestmark = pytest.mark.attack("ports")


def listening(port: int) -> set[str]:
    connections = psutil.Process().net_connections()
    return {item.laddr.ip for item in connections if item.status == "LISTEN" and item.laddr.port == port}


@pytest.mark.parametrize("is_single_machine", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_store_listens_on_the_address_of_its_host(host: str, is_single_machine: bool) -> None:
    store = serve_store(host, 0, 10, is_single_machine)
    assert listening(store.port) <= {"127.0.0.1", "::1"} and listening(store.port)
    client = TCPStore(host, store.port, is_master=False, timeout=timedelta(seconds=10))
    store.set("key", "value")
    assert client.get("key") == b"value"


def test_every_attempt_gets_a_new_store_on_the_loopback_interface() -> None:
    rendezvous = LoopbackRendezvous("run")
    first = rendezvous.next_rendezvous()
    first.store.set("key", "of the first attempt")
    second = rendezvous.next_rendezvous()
    assert not second.store.check(["key"])
    assert listening(second.bootstrap_store_info.master_port) == {"127.0.0.1"}
    assert (second.rank, second.world_size) == (0, 1)


def test_names_of_the_loopback_interface() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "10.0.0.1", "node1")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_interface_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "eth7")
    variables = interface_of("127.0.0.1")
    assert variables["NCCL_SOCKET_IFNAME"] == "eth7", "the user's choice"
    assert variables["GLOO_SOCKET_IFNAME"] in psutil.net_if_addrs()
    assert interface_of("203.0.113.1") == {}
    assert "GLOO_SOCKET_IFNAME" not in os.environ
