"""Writing of a loss landscape: arrays, a summary, figures."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from runner.landscape.explore import Exploration, Explored
from runner.plots.landscape import landscape_contours, landscape_line, landscape_surface
from runner.plots.style import to_png
from runner.run.files import write_json, write_text

__all__ = ["sharpness", "summary", "write_landscape"]

NEAR = 0.25
"""Radius of the neighborhood of the checkpoint, relative to the extent of the grid."""


def sharpness(explored: Explored) -> dict[str, Any]:
    """Returns the sharpness of the minimum: the relative increase of the loss near the checkpoint.

    ``highest`` is ε-sharpness (Keskar et al., arXiv:1609.04836), ``(max − center) / (1 + center)``, over the
    grid points within a quarter of the grid's extent; ``mean`` uses their mean; ``reach`` is the distance in
    each direction. The result is empty unless directions are random, since only their length is comparable
    between models; and if the neighborhood has no other point, or a loss that is not finite.
    """
    axes = explored.plane.axes
    if not explored.plane.is_random:
        return {}
    near = [np.abs(axis) <= NEAR * np.abs(axis).max() + 1e-12 for axis in axes]
    mask = near[0] if len(axes) == 1 else near[1][:, None] & near[0][None, :]
    losses = explored.losses[mask]
    if losses.size < 2 or not np.isfinite(losses).all():
        return {}  # the maximum of the finite losses would be too low
    scale = 1 + abs(explored.centre)
    return {
        "highest": float((losses.max() - explored.centre) / scale),
        "mean": float((losses.mean() - explored.centre) / scale),
        "reach": [float(NEAR * np.abs(axis).max()) for axis in axes],
    }


def summary(exploration: Exploration, explored: Explored) -> dict[str, Any]:
    """Returns the settings and results of a landscape as plain values."""
    plane = explored.plane
    finite = explored.losses[np.isfinite(explored.losses)]
    values = {
        "run": exploration.run.name,
        "settings": exploration.settings,
        "extent": [[float(axis[0]), float(axis[-1])] for axis in plane.axes],
        "loss": explored.centre,
        "lowest": float(finite.min()) if finite.size else None,
        "highest": float(finite.max()) if finite.size else None,
        "num_points": explored.losses.size,
        "num_not_finite": int(explored.losses.size - finite.size),
        "sharpness": sharpness(explored),
    }
    path = {
        "checkpoints": [entry.file for entry in plane.checkpoints],
        "steps": [entry.step for entry in plane.checkpoints],
        "points": plane.path.tolist(),
        "losses": [loss if math.isfinite(loss) else None for loss in explored.path.tolist()],
        "share_within": plane.path_share,
        "explained": plane.explained,
    }
    return values | {"path": path}


def write_landscape(exploration: Exploration, explored: Explored) -> list[Path]:
    """Writes ``KIND.json``, ``KIND.npz``, ``KIND.csv`` and figures into the run's folder ``landscape``.

    Args:
        exploration: the settings.
        explored: the losses.

    Returns:
        The paths of the written files.

    Raises:
        OSError: the folder cannot be written.
    """
    folder, kind = exploration.run.landscape, exploration.request.kind
    paths = [folder / f"{kind}{suffix}" for suffix in (".json", ".npz", ".csv")]
    write_json(paths[0], summary(exploration, explored))
    axes = dict(zip("xy", explored.plane.axes, strict=False))
    partial = folder / f".{kind}.npz.tmp"
    with open(partial, "wb") as file:
        arrays = {
            "losses": explored.losses,
            "centre": np.asarray(explored.centre),
            "path": explored.plane.path,
            "path_losses": explored.path,
            "steps": np.asarray([entry.step for entry in exploration.checkpoints]),
        } | axes
        np.savez(file, **arrays)  # type: ignore[arg-type]  # the stub types further keys
    partial.replace(paths[1])
    write_text(paths[2], as_csv(exploration, explored))
    drawn = explored.losses[np.isfinite(explored.losses)].size > 0
    pictures = figures(exploration, explored) if drawn else iter(())
    return paths + [to_png(figure, folder / f"landscape_{name}.png") for name, figure in pictures]


def as_csv(exploration: Exploration, explored: Explored) -> str:
    """Formats one line per point of the grid: its coordinates and its loss."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([*"xy"[: len(explored.plane.axes)], "loss"])
    points = exploration.points[: explored.losses.size].tolist()
    lines.writerows(
        [*point, loss] for point, loss in zip(points, explored.losses.ravel().tolist(), strict=True)
    )
    return text.getvalue()


def figures(exploration: Exploration, explored: Explored) -> Iterator[tuple[str, Figure]]:
    """Yields the figures of a landscape by name."""
    plane, kind, request = explored.plane, exploration.request.kind, exploration.request
    names = axes_names(exploration)
    title = f"Loss on {request.split}: {exploration.trained.checkpoint.name}"
    if request.is_line:
        marks = {exploration.trained.checkpoint.name: (0.0, explored.centre)}
        if request.to is not None:
            marks[plane.checkpoints[0].file] = (1.0, float(explored.path[0]))
        elif plane.shows_path:
            marks[f"nearest to step {plane.checkpoints[0].step}"] = (
                float(plane.path[0, 0]),
                float(explored.path[0]),
            )
        yield kind, landscape_line(plane.axes[0], explored.losses, marks, names[0], title)
        return
    path = plane.path if plane.shows_path else None
    options: dict[str, Any] = {"axes_names": names, "title": title, "note": path_note(exploration)}
    first, second = plane.axes
    steps = [entry.step for entry in plane.checkpoints]
    yield f"{kind}_contours", landscape_contours(first, second, explored.losses, path, steps, **options)
    yield f"{kind}_surface", landscape_surface(first, second, explored.losses, path, explored.path, **options)


def axes_names(exploration: Exploration) -> list[str]:
    """Returns the labels of the axes."""
    if exploration.request.to is not None:
        return [f"from {exploration.trained.checkpoint.name} (0) to {exploration.checkpoints[0].file} (1)"]
    if exploration.request.directions == "pca":
        shares = enumerate(exploration.plane.explained, start=1)
        return [f"principal direction {number} ({100 * share:.1f} %)" for number, share in shares]
    return [
        f"random direction {number}, by filter" for number, _ in enumerate(exploration.plane.axes, start=1)
    ]


def path_note(exploration: Exploration) -> str:
    """Describes the path of the checkpoints; empty if there is none."""
    plane = exploration.plane
    if len(plane.checkpoints) < 2:
        return ""
    if not plane.shows_path:
        return f"no path: {100 * plane.path_share:.1g} % of it lies in this plane"
    return f"path of {len(plane.checkpoints)} checkpoints, {100 * plane.path_share:.0f} % of it in this plane"
