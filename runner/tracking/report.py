"""What one pass of a mirror did."""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.run.directory import RunDir

__all__ = ["SyncReport"]


@dataclass
class SyncReport:
    """
    Attributes:
        points: metric values sent in this pass; ``params``, ``tags`` and ``files`` likewise.
        status: MLflow's status of the run now.
        complete: the run has ended and all of it is in the store.
        refused: what the store does not take, with its reason.
        error: why the pass stopped early; None when it did not.
    """

    run: RunDir
    uri: str = ""
    run_id: str | None = None
    points: int = 0
    params: int = 0
    tags: int = 0
    files: int = 0
    status: str | None = None
    complete: bool = False
    refused: list[str] = field(default_factory=list)
    error: str | None = None
