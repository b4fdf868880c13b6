"""Curves of a run as data for the page, on which they show values on hover and can be zoomed."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.plots.curves import metric_panels
from runner.plots.learning_rate import is_piecewise_constant
from runner.plots.style import CYCLE, SPLIT_COLORS
from runner.run.journal import load_metrics
from runner.run.state import RunState

__all__ = ["curve_metrics", "curves_content", "script", "script_digest"]

Points = Sequence[tuple[int, int, float]]
MIN_RATIO, MIN_RATE_RATIO = 30, 100
"""Ratios of the largest and the smallest value, of metrics and of learning rates, from which the axis is
logarithmic."""
MAX_POINTS = 400
"""Number of points of a line on the page; longer lines are thinned out."""

SCRIPT = Path(__file__).parent / "curves.js"


def script() -> str:
    """Return the script of the page."""
    return SCRIPT.read_text(encoding="utf-8")


def script_digest() -> str:
    """Return the source expression that allows the script in the page's content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()


def curve_metrics(run: RunState) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the points of the logged metrics, and those of the learning rates by parameter group."""
    metrics = load_metrics(run.directory.metrics_path)
    rates = {key: points for key, points in metrics.items() if key.startswith("train/lr")}
    curves = {key: points for key, points in metrics.items() if key not in rates and is_curve(key)}
    if "train/loss" in curves:
        curves.pop("train/epoch_loss", None)  # the means of the same values
    names: dict[str, str] = run.results.get("parameter_groups") or {}
    if len(rates) == 1:
        names = {"train/lr": "learning rate"}
    return curves, {names.get(key) or group_name(key): points for key, points in rates.items()}


def group_name(key: str) -> str:
    """Return the name of a parameter group from its metric: ``train/lr_2`` → ``group 2``."""
    return f"group {key.removeprefix('train/lr').lstrip('_') or 0}"


def is_curve(key: str) -> bool:
    """Return whether a metric is measured repeatedly; those of baselines are not."""
    return not key.startswith("baseline/")


def curves_content(run: RunState) -> dict[str, Any]:
    """Return the panels of the page, and the same as JSON that can be embedded in HTML.

    Args:
        run: the recorded state of the run.
    """
    try:
        metrics, rates = curve_metrics(run)
    except (OSError, ValueError, KeyError, TypeError):  # an incomplete journal
        metrics, rates = {}, {}
    panels = [_panel(name, lines) for name, lines in metric_panels(metrics).items()]
    if rates:
        panels.append(_panel("learning rate", rates, is_rate=True))
    panels = [panel for panel in panels if any(len(line["points"]) > 1 for line in panel["lines"])]
    content = {"panels": panels, "best": run.best.get("step")}
    # "</script>" in a name must not end the element.
    return {"panels": panels, "json": json.dumps(content).replace("<", "\\u003c")}


def _panel(name: str, lines: Mapping[str, Points], is_rate: bool = False) -> dict[str, Any]:
    ordered = sorted(lines.items(), key=lambda line: line[0] == "val")
    values = sorted(value for _, points in ordered for _, _, value in points if math.isfinite(value))
    positive = [value for value in values if value > 0]
    # A cosine only touches tiny rates at its end, and its shape would be lost on a log scale.
    lowest = positive[len(positive) // 10] if is_rate and positive else min(values, default=0)
    factor = MIN_RATE_RATIO if is_rate else MIN_RATIO
    return {
        "name": name,
        "log": lowest > 0 and max(values) > factor * lowest,
        "lines": [
            _line(split or name, points, number, is_rate and is_piecewise_constant(points))
            for number, (split, points) in enumerate(ordered)
        ],
    }


def _line(name: str, points: Points, number: int, steps: bool = False) -> dict[str, Any]:
    every = math.ceil(len(points) / MAX_POINTS)
    kept = [*points[::every], *([points[-1]] if (len(points) - 1) % every else [])]
    return {
        "name": name,
        "color": SPLIT_COLORS.get(name, CYCLE[number % len(CYCLE)]),
        "steps": steps,
        "points": [
            [step, float(f"{value:.6g}") if math.isfinite(value) else None] for step, _epoch, value in kept
        ],
    }
