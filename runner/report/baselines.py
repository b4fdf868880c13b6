"""Compares a run's model with its baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from runner.report.format import number

__all__ = ["baseline_rows", "baseline_verdict", "best_baseline"]


def best_baseline(
    baselines: Sequence[Mapping[str, Any]], metric: str, lower_is_better: bool
) -> Mapping[str, Any] | None:
    """Return the entry with the best validation score, or None if no baseline has the metric.

    Args:
        baselines: the entry ``baselines`` of ``results.json``.
        metric: name without the split, such as ``accuracy``.
        lower_is_better: whether lower values of the metric are better.
    """
    scored = [entry for entry in baselines if metric in entry["metrics"].get("val", {})]
    sign = 1 if lower_is_better else -1
    return min(scored, key=lambda entry: sign * entry["metrics"]["val"][metric], default=None)


def baseline_verdict(results: Mapping[str, Any], lower_is_better: bool) -> str | None:
    """Return a sentence if the model's validation score is worse than that of its best baseline, else None.

    A difference below one standard error of the score counts as level.

    Args:
        results: as in ``results.json``.
        lower_is_better: whether lower values of the monitored metric are better.
    """
    monitor = str((results.get("best") or {}).get("monitor") or "")
    metric, score = monitor.partition("/")[2], (results.get("val") or {}).get(monitor)
    best = best_baseline(results.get("baselines") or (), metric, lower_is_better)
    if best is None or score is None:
        return None
    value = best["metrics"]["val"][metric]
    if (score <= value) if lower_is_better else (score >= value):
        return None
    scores = f"{monitor} {score:.4g}, {best['name']} {value:.4g}"
    num_val = best.get("num_val") or 0
    if abs(score - value) <= standard_error(value, num_val, lower_is_better):
        return f"The model is level with its baseline: {scores}, on {num_val} samples."
    return (
        f"The model is below its baseline: {scores}. Try a longer training (trainer.max_epochs), "
        "optimizer.lr=auto, or another model."
    )


def standard_error(value: float, num_samples: int, lower_is_better: bool) -> float:
    """Return the approximate standard error of a score.

    A score from 0 to 1 is treated as a share of n samples, an error as the root mean square of n normal
    values: the square root of p(1 − p)/n, and e / √(2n).

    Args:
        value: the score.
        num_samples: n; 0 if unknown, which gives 0.
        lower_is_better: whether the score is an error.
    """
    if not num_samples:
        return 0.0
    if lower_is_better:
        return abs(value) / math.sqrt(2 * num_samples)
    return math.sqrt(value * (1 - value) / num_samples) if 0 <= value <= 1 else 0.0


def baseline_rows(
    results: Mapping[str, Any], splits: Sequence[str], names: Sequence[str], monitored: str
) -> list[list[str]]:
    """Return a row for each baseline with the monitored metric, or the first one that it has."""
    rows = []
    for entry in results.get("baselines") or ():
        known = {name for metrics in entry["metrics"].values() for name in metrics}
        shown = next((name for name in (monitored, *names) if name in known), None)
        if shown is not None:
            cells = [number(entry["metrics"].get(split, {}).get(shown)) for split in splits]
            rows.append([f"baseline {entry['name']} ({shown})", *cells])
    return rows
