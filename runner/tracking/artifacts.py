"""Which files of a run directory go into the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runner.run.directory import FOLDS, RunDir

__all__ = ["files_of", "fingerprint"]

EARLY = ("config.yaml", "provenance.json", "git.diff", "facts.json")
OWN = ("metrics.jsonl", "tracking.json")  # shipped as metrics; the mirror's own
OWN_LOGS = ("tracking.log", "system.jsonl")


def files_of(run: RunDir, has_ended: bool, checkpoints: bool) -> Iterator[Path]:
    """The files to send, relative to the run directory.

    Before the run has ended those that hardly change any more and its plots; behind its end everything but
    the checkpoints, which go along when ``checkpoints`` says so.
    """
    for path in sorted(run.path.rglob("*")):
        relative = path.relative_to(run.path)
        folder = relative.parts[0] if len(relative.parts) > 1 else ""
        if folder == FOLDS or path.suffix == ".tmp" or any(part.startswith(".") for part in relative.parts):
            continue
        if relative.name in (OWN if not folder else OWN_LOGS if folder == run.logs.name else ()):
            continue
        if folder == run.checkpoints.name and not (checkpoints and has_ended):
            continue
        if not has_ended and folder != run.plots.name and str(relative) not in EARLY:
            continue
        if path.is_file():
            yield relative


def fingerprint(path: Path) -> list[int]:
    """Modification time in ns and size in bytes."""
    stat = path.stat()
    return [stat.st_mtime_ns, stat.st_size]
