"""What was found of a landscape, as files: numbers, a summary, pictures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from runner.landscape.explore import Expedition, Explored
from runner.plots.landscape import landscape_contours, landscape_line, landscape_surface
from runner.plots.style import to_png
from runner.run.files import write_json, write_text

__all__ = ["sharpness", "summary", "write_landscape"]

NEAR = 0.25
"""Of the grid's reach: what counts as the neighbourhood of the checkpoint."""


def sharpness(explored: Explored) -> dict[str, float]:
    """How much higher the loss is near the checkpoint, within a quarter of the grid's reach in each
    direction.

    ``highest`` is ε-sharpness (Keskar et al., arXiv:1609.04836), ``(max − centre) / (1 + centre)``, of the
    grid's points there; ``mean`` the same of their mean. Only random directions have a length that means the
    same for every model: of others it is empty, as where no point of the grid but the centre is so near, or
    one that is has no finite loss.
    """
    axes = explored.plane.axes
    if not explored.plane.is_random:
        return {}
    near = [np.abs(axis) <= NEAR * np.abs(axis).max() + 1e-12 for axis in axes]
    mask = near[0] if len(axes) == 1 else near[1][:, None] & near[0][None, :]
    losses = explored.losses[mask]
    if (
        losses.size < 2 or not np.isfinite(losses).all()
    ):  # of those that are left the highest would say too little
        return {}
    scale = 1 + abs(explored.centre)
    return {
        "highest": float((losses.max() - explored.centre) / scale),
        "mean": float((losses.mean() - explored.centre) / scale),
        "reach": [float(NEAR * np.abs(axis).max()) for axis in axes],
    }


def summary(trip: Expedition, explored: Explored) -> dict[str, Any]:
    plane = explored.plane
    finite = explored.losses[np.isfinite(explored.losses)]
    found = {
        "run": trip.run.name,
        "settings": trip.settings,
        "extent": [[float(axis[0]), float(axis[-1])] for axis in plane.axes],
        "loss": explored.centre,
        "lowest": float(finite.min()) if finite.size else None,
        "highest": float(finite.max()) if finite.size else None,
        "num_points": explored.losses.size,
        "num_not_finite": int(explored.losses.size - finite.size),
        "sharpness": sharpness(explored),
    }
    path = {
        "checkpoints": [entry.file for entry in plane.saved],
        "steps": [entry.step for entry in plane.saved],
        "points": plane.path.tolist(),
        "losses": [loss if math.isfinite(loss) else None for loss in explored.path.tolist()],
        "share_within": plane.path_share,
        "explained": plane.explained,
    }
    return found | {"path": path}


def write_landscape(trip: Expedition, explored: Explored) -> list[Path]:
    """``KIND.json``, ``KIND.npz``, ``KIND.csv`` and ``landscape_KIND_*.png`` in the run's folder
    ``landscape``.

    Raises:
        OSError: it cannot be written.
    """
    folder, kind = trip.run.landscape, trip.request.kind
    paths = [folder / f"{kind}{suffix}" for suffix in (".json", ".npz", ".csv")]
    write_json(paths[0], summary(trip, explored))
    arrays = dict(zip("xy", explored.plane.axes, strict=False))
    partial = folder / f".{kind}.npz.tmp"
    with open(partial, "wb") as file:
        np.savez(file, losses=explored.losses, centre=explored.centre, path=explored.plane.path,
                 path_losses=explored.path, steps=[entry.step for entry in trip.saved], **arrays)  # fmt: skip
    partial.replace(paths[1])
    write_text(paths[2], as_csv(trip, explored))
    drawn = explored.losses[np.isfinite(explored.losses)].size > 0
    pictures = figures(trip, explored) if drawn else iter(())
    return paths + [to_png(figure, folder / f"landscape_{name}.png") for name, figure in pictures]


def as_csv(trip: Expedition, explored: Explored) -> str:
    """A line a point of the grid: its coordinates and its loss."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*"xy"[: len(explored.plane.axes)], "loss"])
    points = trip.points[: explored.losses.size].tolist()
    lines.writerows(
        [*point, loss] for point, loss in zip(points, explored.losses.ravel().tolist(), strict=True)
    )
    return text.getvalue()


def figures(trip: Expedition, explored: Explored) -> Iterator[tuple[str, Figure]]:
    plane, kind, request = explored.plane, trip.request.kind, trip.request
    names = axes_names(trip)
    title = f"Loss on {request.split}: {trip.trained.checkpoint.name}"
    if request.is_line:
        marks = {trip.trained.checkpoint.name: (0.0, explored.centre)}
        if request.to is not None:
            marks[plane.saved[0].file] = (1.0, float(explored.path[0]))
        elif plane.shows_path:
            marks[f"nearest to step {plane.saved[0].step}"] = (
                float(plane.path[0, 0]),
                float(explored.path[0]),
            )
        yield kind, landscape_line(plane.axes[0], explored.losses, marks, names[0], title)
        return
    path = plane.path if plane.shows_path else None
    options = {"axes_names": names, "title": title, "note": path_note(trip)}
    steps = [entry.step for entry in plane.saved]
    yield f"{kind}_contours", landscape_contours(*plane.axes, explored.losses, path, steps, **options)
    yield f"{kind}_surface", landscape_surface(*plane.axes, explored.losses, path, explored.path, **options)


def axes_names(trip: Expedition) -> list[str]:
    if trip.request.to is not None:
        return [f"from {trip.trained.checkpoint.name} (0) to {trip.saved[0].file} (1)"]
    if trip.request.directions == "pca":
        shares = enumerate(trip.plane.explained, start=1)
        return [f"principal direction {number} ({100 * share:.1f} %)" for number, share in shares]
    return [f"random direction {number}, by filter" for number, _ in enumerate(trip.plane.axes, start=1)]


def path_note(trip: Expedition) -> str:
    plane = trip.plane
    if len(plane.saved) < 2:
        return ""
    if not plane.shows_path:
        return f"no path: {100 * plane.path_share:.1g} % of it lies in this plane"
    return f"path of {len(plane.saved)} checkpoints, {100 * plane.path_share:.0f} % of it in this plane"
