"""The rendezvous of PyTorch's elastic agent with its own workers, on the loopback interface.

``torchrun --standalone`` (torch 2.15) serves its rendezvous on all interfaces and unpickles what it reads
from it. One agent has nothing to agree on with others, so a store per attempt is sufficient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.distributed import PrefixStore
from torch.distributed.elastic.rendezvous import (
    RendezvousHandler,
    RendezvousInfo,
    RendezvousParameters,
    RendezvousStoreInfo,
    rendezvous_handler_registry,
)

from runner.distributed.store import LOOPBACK, serve_store

if TYPE_CHECKING:
    from torch.distributed import TCPStore

__all__ = ["BACKEND", "LoopbackRendezvous", "register_loopback"]

BACKEND = "loopback"
TIMEOUT_S = 600.0


class LoopbackRendezvous(RendezvousHandler):
    """Rendezvous of a single agent; the workers use its store for their process group.

    Every attempt gets a new store: gloo would otherwise read the addresses of the ranks of the previous one.

    Args:
        run_id: name of the run.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.store: TCPStore | None = None

    def get_backend(self) -> str:
        return BACKEND

    @property
    def use_agent_store(self) -> bool:
        return True

    def next_rendezvous(self) -> RendezvousInfo:
        self.store = serve_store(LOOPBACK, 0, TIMEOUT_S, is_single_machine=True)
        address = RendezvousStoreInfo(LOOPBACK, self.store.port)
        return RendezvousInfo(PrefixStore(self.run_id, self.store), 0, 1, address)

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        pass

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self.run_id

    def shutdown(self) -> bool:
        self.store = None
        return True


def register_loopback() -> None:
    """Make the rendezvous available to ``torch.distributed.run`` as ``--rdzv-backend=loopback``."""

    def create(parameters: RendezvousParameters) -> RendezvousHandler:
        return LoopbackRendezvous(parameters.run_id)

    rendezvous_handler_registry.register(BACKEND, create)
