"""Figures for forecasting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL.Image import Image

from runner.plots.forecast import error_by_horizon, forecast_panels
from runner.plots.style import to_image

__all__ = ["forecast_picture", "forecasting_figures"]

NUM_WINDOWS = 6
NUM_TARGETS = 3


def forecasting_figures(task: Any, split: str, data: Any) -> Iterator[tuple[str, Figure]]:
    """Yields plots of some windows with their forecasts, and of the error at each step."""
    outputs = task.outputs[split]
    preds, targets, naive = (outputs[key].numpy() for key in ("preds", "targets", "naive"))
    chosen = np.unique(np.linspace(0, len(preds) - 1, NUM_WINDOWS).round().astype(int))
    source = data.splits[split].source
    windows = []
    for row in chosen:
        index = int(outputs["index"][row])
        past = source[index][0].numpy()[:, task.target_columns]
        windows.append((source.name(index), past, targets[row], preds[row], naive[row]))
    for column, name in list(enumerate(task.target_names))[:NUM_TARGETS]:
        panels = [(label, *(part[:, column] for part in parts)) for label, *parts in windows]
        suffix = "" if len(task.target_names) == 1 else f"_{column}"
        yield f"{split}_forecasts{suffix}", forecast_panels(panels, name, f"Forecasts of {name} ({split})")
    std = (outputs.get("std", task.target_std)).cpu().numpy()
    errors = {"model": (preds - targets) / std, "seasonal naive": (naive - targets) / std}
    yield (
        f"{split}_horizon",
        error_by_horizon(
            {name: np.sqrt(np.nanmean(error**2, axis=(0, 2))) for name, error in errors.items()},
            f"Error of each step ({split})",
        ),
    )


def forecast_picture(past: np.ndarray, preds: np.ndarray, names: Sequence[str]) -> Image:
    """Plots the last known steps ``(L, K)`` and the forecast ``(H, K)``."""
    panels = [
        (name, past[:, column], None, preds[:, column], None)
        for column, name in list(enumerate(names))[: 2 * NUM_TARGETS]
    ]
    return to_image(forecast_panels(panels, "", "Forecast"))
