"""The decision boundary of a classifier with two features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from runner.plots.style import CYCLE, class_colors, class_labels, label, new_figure, styled

__all__ = ["decision_boundary", "feature_grid"]

MARKERS = "osD^vPX*"


def feature_grid(points: np.ndarray, resolution: int = 200) -> np.ndarray:
    """Grid (R, R, 2) that covers points (N, 2) with a margin; flatten it to (R·R, 2) as model input."""
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    xs, ys = (np.linspace(low[i] - margin[i], high[i] + margin[i], resolution) for i in range(2))
    return np.stack(np.meshgrid(xs, ys), axis=-1)


@styled
def decision_boundary(
    grid: np.ndarray,
    grid_probs: np.ndarray,
    points: np.ndarray,
    targets: np.ndarray,
    feature_names: Sequence[str],
    class_names: Sequence[str],
    title: str = "Decision boundary",
    threshold: float = 0.5,
) -> Figure:
    """Plots the predictions over the plane of two features, with the samples on top.

    Args:
        grid: (R, R, 2) feature values, from `feature_grid`.
        grid_probs: (R, R, K) probabilities there.
        points: (N, 2) and (N,) class numbers.
        targets: as ``points``.
        threshold: for two classes, the minimum probability for predicting the second.
        class_names: names of the classes, in the order of their ids.
        feature_names: names of the features.
        title: title of the figure.
    """
    num_classes = grid_probs.shape[-1]
    colors = [CYCLE[1], CYCLE[0]] if num_classes == 2 else class_colors(num_classes)
    fig, axes = new_figure(6.6, 4.9, title=title)
    ax = axes[0, 0]
    if num_classes == 2:
        _draw_probability(fig, ax, grid, grid_probs[..., 1], class_labels(class_names, 2)[1], threshold)
    else:
        _draw_regions(ax, grid, grid_probs, colors)
    _draw_points(ax, points, np.asarray(targets), class_labels(class_names, num_classes), colors)
    ax.set(xlabel=label(feature_names[0], 60), ylabel=label(feature_names[1], 60))
    ax.set(xlim=(grid[..., 0].min(), grid[..., 0].max()), ylim=(grid[..., 1].min(), grid[..., 1].max()))
    ax.grid(False)
    return fig


def _draw_probability(
    fig: Figure, ax: Axes, grid: np.ndarray, probs: np.ndarray, name: str, threshold: float
) -> None:
    """Shades of the second class's probability; the boundary is where it is the threshold."""
    palette = ListedColormap(_blend(CYCLE[1], CYCLE[0]))
    shades = ax.contourf(
        grid[..., 0], grid[..., 1], probs, np.linspace(0, 1, 11), cmap=palette, vmin=0, vmax=1
    )
    if probs.min() < threshold < probs.max():
        ax.contour(grid[..., 0], grid[..., 1], probs, [threshold], colors="black", linewidths=1.4)
    bar = fig.colorbar(
        shades, ax=ax, fraction=0.045, pad=0.02, label=f"probability of {name}", ticks=[0, 0.25, 0.5, 0.75, 1]
    )
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)


def _blend(low: str, high: str) -> np.ndarray:
    """256 pale colours from one through white to the other, (256, 3)."""
    white, ramp = np.ones(3), np.linspace(0, 0.6, 128)[:, None]
    down = white + ramp[::-1] * (np.array(to_rgb(low)) - white)
    up = white + ramp * (np.array(to_rgb(high)) - white)
    return np.concatenate([down, up])


def _draw_regions(ax: Axes, grid: np.ndarray, probs: np.ndarray, colors: Sequence) -> None:
    """Flat colours of the most probable class, with lines between them."""
    for number, color in enumerate(colors):
        # Its lead over the best other class is smooth, so the border is not drawn as stairs of grid cells.
        lead = probs[..., number] - np.delete(probs, number, axis=-1).max(axis=-1)
        if lead.max() > 0:
            pale = tuple(1 - 0.3 * (1 - np.array(to_rgb(color))))
            ax.contourf(grid[..., 0], grid[..., 1], lead, [0, np.inf], colors=[pale])
            ax.contour(grid[..., 0], grid[..., 1], lead, [0], colors="white", linewidths=1)


def _draw_points(
    ax: Axes, points: np.ndarray, targets: np.ndarray, names: list[str], colors: Sequence
) -> None:
    size = 28 if len(points) <= 300 else 10
    for number, name in enumerate(names):
        here = targets == number
        ax.scatter(
            points[here, 0],
            points[here, 1],
            s=size,
            color=[colors[number]],
            edgecolors="white",
            linewidths=0.6,
            marker=MARKERS[number % len(MARKERS)],
            label=name,
        )
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(names), 4))
