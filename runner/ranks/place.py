"""Which of a run's processes this is. ``torch.distributed.run`` says so in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """
    Attributes:
        rank: of this process among all, from 0.
        world_size: how many there are.
        local_rank, local_world_size: the same on this machine.
        restart: how often the elastic agent has started the processes anew.
        under_agent: whether an elastic agent started this process.
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_world_size: int = 1
    restart: int = 0
    under_agent: bool = False

    @classmethod
    def here(cls, environment: Mapping[str, str] | None = None) -> Place:
        environment = os.environ if environment is None else environment
        if "TORCHELASTIC_RUN_ID" not in environment:
            return cls()

        def number(name: str, default: int) -> int:
            return int(environment.get(name, default))

        world_size = number("WORLD_SIZE", 1)
        return cls(
            rank=number("RANK", 0),
            world_size=world_size,
            local_rank=number("LOCAL_RANK", 0),
            local_world_size=number("LOCAL_WORLD_SIZE", world_size),
            restart=number("TORCHELASTIC_RESTART_COUNT", 0),
            under_agent=True,
        )

    @property
    def is_first(self) -> bool:
        """Rank zero: the one that writes the run directory."""
        return self.rank == 0
