"""All figures of a run, drawn from its journal, the outputs of its task, and its data."""

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
from runner.report.curves import curve_metrics
from runner.report.texts import write_texts
from runner.run.directory import RunDir
from runner.run.state import RunState

__all__ = ["curve_figures", "draw_figures"]


def curve_figures(run: RunState) -> Iterator[tuple[str, Any]]:
    """Yield names and figures of the logged metrics by epoch and of the learning rate by step."""
    curves, rates = curve_metrics(run)
    best = run.best
    if curves:
        yield "curves", metric_curves(curves, best=(best["step"], best["epoch"]) if best else None)
    if rates:
        yield "learning_rate", learning_rate_curve(rates)


log = logging.getLogger("runner.report")

NUM_SAMPLES = 24


def draw_figures(run: RunDir, task: Any, data: Any) -> list[str]:
    """Write ``plots/*.png`` and return their names. A failure is logged, and the other plots are drawn.

    Args:
        run: the run's directory.
        task: the task with the outputs of its evaluation.
        data: the data module.
    """
    names = []
    for source in (
        curve_figures(RunState(run)),
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
    try:
        write_texts(run, task.report_texts(data))
    except Interrupted:
        raise
    except Exception:
        log.exception("the texts could not be written")
    return names


def sample_figures(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield training samples as augmented in the first epoch; for sequences, the distribution of lengths."""
    split = data.splits.get("train")
    if hasattr(split, "lengths"):
        lengths = {name: values.lengths for name, values in data.splits.items()}
        yield (
            "lengths",
            length_histogram(lengths, getattr(data, "max_length", None), "Lengths of the sequences"),
        )
    if split is None or len(data.facts.input_shape) != 3:
        return
    generator = torch.Generator().manual_seed(0)
    positions = torch.randperm(len(split), generator=generator)[:NUM_SAMPLES].tolist()
    pictures = [data.picture(*split.sample(0, position)) for position in positions]
    images, captions = [np.asarray(image) for image, _ in pictures], [text for _, text in pictures]
    yield "samples", sample_grid(images, captions)
