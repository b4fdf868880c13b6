"""Suggested commands after a sweep."""

from __future__ import annotations

import os
from pathlib import Path

from runner.sweep.sweep_summary import SweepRecord

__all__ = ["next_commands", "short_path"]


def short_path(path: Path) -> str:
    """Return a path relative to the working directory, if it lies below it."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


def next_commands(record: SweepRecord) -> list[tuple[str, str]]:
    """Return suggested commands, each with its purpose."""
    sweep, ranked = record.sweep, record.ranked()
    name = short_path(sweep.path)
    commands = []
    if ranked:
        trials = [short_path(trial.run.path) for trial in ranked[:2]]
        commands.append(
            (f"runner train {short_path(sweep.best_path)}", "train the best config as a separate run")
        )
        commands.append((f"runner evaluate {trials[0]}", "the best trial's metrics"))
        if len(trials) == 2:
            commands.append((f"runner compare {' '.join(trials)}", "compare the best trial with the second"))
    commands.append((f"runner report {name}", "a page with all plots"))
    if record.trials:
        commands.append((f"runner sweep show {name}", "a table of the trials"))
    if record.state in ("interrupted", "lost"):
        commands.append(("runner sweep …", "the command that started it continues it"))
    return commands
