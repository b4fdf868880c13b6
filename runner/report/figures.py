"""All figures of a run, drawn from its journal, its task's outputs and its data."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from runner.errors import Interrupted
from runner.plots.curves import metric_curves
from runner.plots.images import sample_grid
from runner.plots.learning_rate import learning_rate_curve
from runner.plots.style import to_png
from runner.plots.text import length_histogram
from runner.run.directory import RunDir
from runner.run.files import read_json
from runner.run.journal import load_metrics

__all__ = ["curve_figures", "draw_figures"]


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


log = logging.getLogger("runner.report")

NUM_SAMPLES = 24


def draw_figures(run: RunDir, task: Any, data: Any) -> list[str]:
    """Writes ``plots/*.png``; returns their names. A plot that fails is logged and costs nothing else."""
    names = []
    for source in (
        curve_figures(run),
        sample_figures(data),
        *(task.figures(split, data) for split in task.outputs),
    ):
        try:
            for name, figure in source:
                if figure is not None:
                    to_png(figure, run.plots / f"{name}.png")
                    names.append(name)
        except Interrupted:
            raise
        except Exception:
            log.exception("a plot could not be drawn")
    return names


def sample_figures(data: Any) -> Iterator[tuple[str, Any]]:
    """Training samples as the model sees them in the first epoch; of sequences how long they are."""
    split = data.splits.get("train")
    if hasattr(split, "lengths"):
        lengths = {name: part.lengths for name, part in data.splits.items()}
        yield (
            "lengths",
            length_histogram(lengths, getattr(data, "max_length", None), "Lengths of the sequences"),
        )
    if split is None or len(data.facts.input_shape) != 3:
        return
    generator = torch.Generator().manual_seed(0)
    positions = torch.randperm(len(split), generator=generator)[:NUM_SAMPLES].tolist()
    shown = [data.picture(*split.sample(0, position)) for position in positions]
    yield "samples", sample_grid([np.asarray(image) for image, _ in shown], [words for _, words in shown])
