"""A Lightning cluster environment that reads ranks from ``ProcessInfo`` instead of detecting a scheduler."""

from __future__ import annotations

import os

from pytorch_lightning.plugins.environments import ClusterEnvironment

from runner.distributed.process_info import ProcessInfo

__all__ = ["ProcessInfoEnvironment"]


class ProcessInfoEnvironment(ClusterEnvironment):
    """Cluster environment of the ranks described by a ``ProcessInfo``.

    Without it, Lightning 2.6 detects a scheduler by its variables, counts its tasks, and installs its own
    signal handlers.

    Args:
        process_info: rank of this process.
    """

    def __init__(self, process_info: ProcessInfo) -> None:
        super().__init__()
        self.process_info = process_info

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @staticmethod
    def detect() -> bool:
        return False

    @property
    def main_address(self) -> str:
        return os.environ.get("MASTER_ADDR", "127.0.0.1")

    @property
    def main_port(self) -> int:
        return int(os.environ.get("MASTER_PORT", "0"))

    def world_size(self) -> int:
        return self.process_info.world_size

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return self.process_info.rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return self.process_info.local_rank

    def node_rank(self) -> int:
        return self.process_info.rank // self.process_info.local_world_size
