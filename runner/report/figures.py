"""Every plot of a run, drawn from its journal, its task's outputs and its data."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from runner.errors import Interrupted
from runner.plots.lengths import length_histogram
from runner.plots.png import to_png
from runner.plots.samples import sample_grid
from runner.report.curves import curve_figures
from runner.run.directory import RunDir

__all__ = ["draw_figures"]

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
