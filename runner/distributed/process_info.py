"""Reads the rank of this process from the environment variables of the launcher."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["CONTRACT", "ProcessInfo", "master_of_step"]

CONTRACT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables PyTorch requires for a process group; a process is a rank only if all of them are set."""

FIRST_PORT, NUM_PORTS = 20_000, 12_000


@dataclass(frozen=True)
class ProcessInfo:
    """The rank of a process and the size of its process group.

    Attributes:
        rank: global rank, from 0.
        world_size: number of ranks.
        local_rank, local_world_size: the same on this node.
        restart: number of times the elastic agent has restarted the ranks.
        under_agent: whether an external launcher started and supervises this process.
        started_by: the launcher: ``torchrun`` (PyTorch's elastic agent), ``srun``, or ``environment`` for any
            other that sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Empty for a single process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    restart: int = 0
    under_agent: bool = False
    started_by: str = ""

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> ProcessInfo:
        """Read the rank of this process.

        Args:
            environment: environment variables; those of this process if None.
        """
        environment = os.environ if environment is None else environment
        if "TORCHELASTIC_RUN_ID" in environment:
            return cls.of_contract(environment, "torchrun")
        if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in environment:
            return cls.of_step(environment)
        if all(name in environment for name in CONTRACT):
            return cls.of_contract(environment, "environment")
        return cls()

    @classmethod
    def of_contract(cls, environment: Mapping[str, str], started_by: str) -> ProcessInfo:
        """Read PyTorch's variables RANK, WORLD_SIZE and so on.

        Args:
            environment: environment variables.
            started_by: the launcher.
        """

        def number(name: str, default: int) -> int:
            return int(environment.get(name, default))

        world_size = number("WORLD_SIZE", 1)
        return cls(
            rank=number("RANK", 0),
            world_size=world_size,
            local_rank=number("LOCAL_RANK", 0),
            local_world_size=number("LOCAL_WORLD_SIZE", world_size if started_by == "torchrun" else 1),
            restart=number("TORCHELASTIC_RESTART_COUNT", 0),
            under_agent=True,
            started_by=started_by,
        )

    @classmethod
    def of_step(cls, environment: Mapping[str, str]) -> ProcessInfo:
        """Read the variables of a SLURM step with several tasks.

        Only steps have SLURM_STEP_NUM_TASKS; batch scripts do not.
        """
        world_size = int(environment["SLURM_STEP_NUM_TASKS"])
        tasks_per_node = environment.get("SLURM_STEP_TASKS_PER_NODE", "")  # such as 2(x3)
        first_node = re.match(r"\d+", tasks_per_node)
        return cls(
            rank=int(environment["SLURM_PROCID"]),
            world_size=world_size,
            local_rank=int(environment.get("SLURM_LOCALID", 0)),
            local_world_size=int(first_node.group()) if first_node else world_size,
            restart=int(environment.get("SLURM_RESTART_COUNT", 0)),
            under_agent=True,
            started_by="srun",
        )

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, the only rank that writes the run directory."""
        return self.rank == 0

    @property
    def starter(self) -> str:
        """Name of the launcher, for messages."""
        return (
            "the launcher that set RANK and WORLD_SIZE"
            if self.started_by == "environment"
            else self.started_by
        )

    @property
    def num_nodes(self) -> int:
        """Number of machines."""
        return self.world_size // self.local_world_size


def master_of_step(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return the rendezvous address of a SLURM step.

    Args:
        environment: environment variables.

    Returns:
        The node of its first task, and a port derived from the ids of job and step.
    """
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST") or "127.0.0.1"
    first = re.sub(r"\[(\d+).*$", r"\1", nodes).partition(",")[0]
    if environment.get("SLURM_STEP_NUM_NODES", "1") == "1":
        first = "127.0.0.1"
    job, step = int(environment.get("SLURM_JOB_ID", 0)), int(environment.get("SLURM_STEP_ID", 0))
    return first, FIRST_PORT + (job * 31 + step) % NUM_PORTS
