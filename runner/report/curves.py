"""Curves of a run, drawn from its journal alone: also for a run that failed, and without torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runner.plots.curves import metric_curves
from runner.plots.learning_rate import learning_rate_curve
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.journal import load_metrics

__all__ = ["curve_figures"]


def curve_figures(run: RunDir) -> Iterator[tuple[str, Any]]:
    """``(name, Figure)``: the metrics by epoch, the learning rate by step, as far as they were logged."""
    metrics = load_metrics(run.metrics_path)
    rates = {key: points for key, points in metrics.items() if key.startswith("train/lr")}
    curves = {key: points for key, points in metrics.items() if key not in rates}
    if "train/loss" in curves:
        curves.pop("train/epoch_loss", None)  # the same numbers once more, only coarser
    best = read_json(run.results_path, {}).get("best")
    if curves:
        yield "curves", metric_curves(curves, best=(best["step"], best["epoch"]) if best else None)
    if rates:
        yield "learning_rate", learning_rate_curve(rates)
