"""Checks whether a checkpoint still matches the run that resumes from it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from runner.callbacks.exact_resume import config_of
from runner.config.diff import find_changes, rejections
from runner.data.statistics import is_same_statistic
from runner.errors import UserError
from runner.run.checkpoints import Checkpoint
from runner.run.format import FORMAT_VERSION

__all__ = ["check_resume"]

log = logging.getLogger("runner.training.worker")

MAY_DIFFER = ("source",)
"""Facts that may differ, because the same data may have moved."""

OLDER = " An earlier version of runner started this run and may have read the same data differently."


def check_resume(
    checkpoint: Checkpoint,
    config: dict[str, Any],
    facts_before: dict[str, Any],
    facts: dict[str, Any],
    known_changes: Mapping[str, Any],
    format_version: int = FORMAT_VERSION,
) -> None:
    """Reports every key that differs from the config that the checkpoint was written with.

    Args:
        checkpoint: the checkpoint to resume from.
        config: the resolved config of the run.
        facts_before: facts of the data when the run began.
        facts: facts of the data now.
        known_changes: keys and values that have already been reported.
        format_version: format of the run directory.

    Raises:
        UserError: a changed key, or changed data, would make the result meaningless.
    """
    before = config_of(checkpoint)
    changes = [] if before is None else find_changes(before, config)
    rejected = [str(problem) for problem in rejections(changes)]
    rejected += [
        f"the data have changed: {key} was {short(facts_before[key])}, and is {short(facts.get(key))}."
        for key in facts_before
        if key in facts and key not in MAY_DIFFER and not is_same_statistic(key, facts_before, facts)
    ]
    if rejected:
        raise UserError(
            f"the run cannot resume from {checkpoint.file}, which was written with other values. "
            + " ".join(rejected)
            + (OLDER if format_version < FORMAT_VERSION else "")
            + " Restore them, or start a new run."
        )
    for change in changes:
        if known_changes.get(change.key, change) == change.now:
            continue
        log.warning("since %s was written: %s", checkpoint.file, change)


def short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
