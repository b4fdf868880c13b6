"""Computes baselines in a thread beside the training."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from runner.baselines.models import Baseline, compute_baselines
from runner.data.base import DataModule

__all__ = ["BackgroundBaselines", "best_baseline"]

log = logging.getLogger("runner.baselines")


class BackgroundBaselines:
    """Fits the baselines of a run while its model trains.

    scikit-learn's own generators are seeded, so neither the training nor its random state is affected. A baseline
    that fails is logged and left out; an interrupted run does not wait.

    Args:
        data: the run's data module after ``setup``.
    """

    def __init__(self, data: DataModule) -> None:
        self.baselines: list[Baseline] = []
        self._data = data
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._compute, name="baselines", daemon=True)

    def start(self) -> BackgroundBaselines:
        """Start the thread."""
        self._thread.start()
        return self

    def _compute(self) -> None:
        try:
            for baseline in compute_baselines(self._data):
                self.baselines.append(baseline)
                if self._stopped.is_set():
                    return
        except Exception as error:  # any model may fail on unusual data; the run must not
            log.warning("a baseline was left out: %s: %s", type(error).__name__, error)

    def results(self, timeout_s: float) -> list[dict[str, Any]]:
        """Return the baselines as plain values, after waiting for the remaining ones.

        Args:
            timeout_s: maximum waiting time in seconds; models that are not ready by then are left out.
        """
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._stopped.set()
            log.warning("baselines took longer than %g s after the training; the rest is left out", timeout_s)
        return [baseline.as_dict() for baseline in list(self.baselines)]


def best_baseline(
    baselines: Sequence[Mapping[str, Any]], metric: str, lower_is_better: bool
) -> tuple[str, float] | None:
    """Return name and validation score of the best baseline by a metric without prefix, or None."""
    scores = [
        (entry["name"], entry["metrics"]["val"][metric])
        for entry in baselines
        if metric in entry["metrics"].get("val", {})
    ]
    if not scores:
        return None
    return (min if lower_is_better else max)(scores, key=lambda pair: pair[1])
