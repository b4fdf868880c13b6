"""One go of a worker at a trial, and what is heard of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

__all__ = ["Attempt", "Event"]


@dataclass(frozen=True)
class Attempt:
    """What an executor needs to know to carry one out.

    Attributes:
        trial: its number in the study.
        run: the prepared run directory; a worker resumes from its last checkpoint, if any.
        prunes: the worker waits for an answer to each value it reports.
        metric: what it reports; the task's own when None.
        num_devices: of the trial, each with a process of its own.
        under_agent: its processes are started by PyTorch's elastic agent, and talk through a ``Mailbox``.
        devices: those it has to itself, by the names their library knows them by; empty where that is left to others.
        environment: further variables of its processes.
        num_threads: of the processor, for each process.
        memory_bytes: address space that a process may take beyond what the libraries need.
    """

    trial: int
    run: Path
    prunes: bool = False
    metric: str | None = None
    num_devices: int = 1
    under_agent: bool = False
    devices: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    num_threads: int = 1
    memory_bytes: int | None = None

    @property
    def output(self) -> Path:
        """Where what its processes print goes."""
        return self.run / "logs" / "output.log"

    def as_dict(self) -> dict[str, Any]:
        return vars(self) | {"run": str(self.run), "devices": list(self.devices)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Attempt:
        return cls(**stored | {"run": Path(stored["run"]), "devices": tuple(stored["devices"])})


@dataclass(frozen=True)
class Event:
    """Something that came from an attempt.

    Attributes:
        kind: ``started`` once a process is at it; ``report`` after an epoch; ``beat``, a sign of life; ``ended``.
        place: of ``started``: where, when it is another machine: ``node3, job 17``.
        epoch, value: of ``report``: epochs done, and the metric.
        status: of ``ended``: an exit code, or the negative number of the signal that killed it.
        reason: of ``ended``, when the executor knows more than the run's own status: ``cancelled by the scheduler``.
    """

    kind: Literal["started", "report", "beat", "ended"]
    trial: int
    place: str | None = None
    epoch: int = 0
    value: float = 0.0
    status: int = 0
    reason: str | None = None
