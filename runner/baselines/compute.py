"""Computes the baselines of a run within a time budget."""

from __future__ import annotations

import logging
import time
from typing import Any

from runner.baselines.models import compute_baselines
from runner.data.base import DataModule

__all__ = ["run_baselines"]

log = logging.getLogger("runner.baselines")

MIN_BUDGET_S = 10.0
SHARE_OF_TRAINING = 0.1


def run_baselines(data: DataModule, training_s: float) -> list[dict[str, Any]]:
    """Fit the baselines that suit the data, cheapest first.

    No further baseline is started once 10 s or a tenth of the training time have passed, whichever is longer.
    One that fails is logged and left out. They run after the training instead of in a thread beside it
    because loader workers are forked, and a fork while another thread holds a lock can hang.

    Args:
        data: the run's data module after ``setup``.
        training_s: duration of the training in seconds.

    Returns:
        One entry per baseline: ``name``, ``metrics`` by split, ``num_train``, ``seconds``, ``num_val``.
    """
    until = time.monotonic() + max(MIN_BUDGET_S, SHARE_OF_TRAINING * training_s)
    entries = []
    try:
        for baseline in compute_baselines(data):
            entries.append(baseline.as_dict() | {"num_val": len(data.splits.get("val", ()))})
            if time.monotonic() > until:
                break
    except Exception as error:  # a model that fails on unusual data must not fail the run
        log.warning("a baseline was left out: %s: %s", type(error).__name__, error)
    return entries
