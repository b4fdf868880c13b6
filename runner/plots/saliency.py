"""Similarity of explanations to those of the trained model as its weights are randomized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from runner.plots.images import drawable
from runner.plots.style import CYCLE, MUTED, as_picture, label, new_figure, styled

__all__ = ["Panel", "bound_of", "saliency_panels", "sanity_curve"]

PER_ROW = 2
CELL_IN = 1.9
LUMINANCE = np.array([0.299, 0.587, 0.114])
FINEST = 64
"""Number of squares along the shorter side if values are summed over squares."""
SHARE_DRAWN = 99.5
"""Percentile of absolute values at which colors saturate, so that single pixels do not make all others pale.
"""


@dataclass(frozen=True)
class Panel:
    """One image and its attribution.

    Attributes:
        name: of the image; a path is cut to its last part.
        image: (H, W), (C, H, W) or (H, W, C).
        values: (H, W).
        words: below the attribution, such as the class and its probability.
        box: xyxy in pixels, drawn as a frame.
        mask: bool (H, W), drawn as an outline.
    """

    name: str
    image: np.ndarray
    values: np.ndarray
    words: str = ""
    box: Sequence[float] | None = None
    mask: np.ndarray | None = None


@styled
def saliency_panels(
    panels: Sequence[Panel],
    title: str,
    signed: bool = False,
    unit: str = "",
    lower_origin: bool = False,
    summed: bool = False,
) -> Figure:
    """Plots each image next to a grey version colored by attribution, with a color bar.

    Args:
        signed: use two colors for positive and negative values, with zero transparent; otherwise one scale
            from zero.
        unit: unit of the color bar.
        lower_origin: the first row lies at the bottom, as low notes of a spectrogram do.
        summed: values of a large image are added up over small squares, as single pixels cannot be seen; the
            unit tells their side. For values that add up to something.
        panels: one entry per image.
        title: title of the figure.
    """
    across = min(PER_ROW, len(panels))
    rows = math.ceil(len(panels) / across)
    ratio = max(min(1.5, drawable(panel.image).shape[0] / drawable(panel.image).shape[1]) for panel in panels)
    size = (across * (2 * CELL_IN + 0.75) + 0.2, rows * (CELL_IN * ratio + 0.42) + 0.45)
    fig, axes = new_figure(*size, rows, 2 * across, title)
    for ax in axes.flat:
        as_picture(ax)
    origin = "lower" if lower_origin else "upper"
    for (left, right), panel in zip(axes.reshape(-1, 2), panels, strict=False):
        side = max(1, round(min(panel.values.shape) / FINEST)) if summed else 1
        per_square = f"{unit} in {side}×{side} px" if side > 1 else unit
        draw(
            fig,
            left,
            right,
            replace(panel, values=in_squares(panel.values, side)),
            signed,
            per_square,
            origin,
        )
    for ax in axes.flat[2 * len(panels) :]:
        ax.set_visible(False)
    return fig


def draw(fig: Figure, left: Axes, right: Axes, panel: Panel, signed: bool, unit: str, origin: str) -> None:
    picture = drawable(panel.image)
    gray = picture if picture.ndim == 2 else picture @ LUMINANCE
    smooth = "antialiased" if max(picture.shape[:2]) > 100 else "nearest"
    common: dict[str, Any] = {"interpolation": smooth, "origin": origin}
    left.imshow(picture, cmap="gray", vmin=0, vmax=1, **common)
    left.set_xlabel(label(panel.name.replace("\\", "/").rsplit("/", 1)[-1], 28), fontsize=7, labelpad=3)
    right.imshow(gray, cmap="gray", vmin=-0.25, vmax=1.25, **common)
    bound = bound_of(panel.values)
    strength = np.clip(np.abs(panel.values) / bound, 0, 1)
    if signed:
        colors = right.imshow(
            panel.values, cmap="RdBu_r", vmin=-bound, vmax=bound, alpha=strength**0.7, **common
        )
    else:
        colors = right.imshow(
            panel.values, cmap="inferno", vmin=0, vmax=bound, alpha=0.25 + 0.5 * strength, **common
        )
    right.set_xlabel(label(panel.words, 34), fontsize=7, labelpad=3)
    frame(right, panel, signed)
    bar = fig.colorbar(colors, cax=right.inset_axes((1.03, 0, 0.05, 1)))
    bar.ax.tick_params(labelsize=6, length=2)
    bar.outline.set_linewidth(0.4)
    bar.locator = MaxNLocator(4)
    bar.formatter = ScalarFormatter(useMathText=False)
    bar.formatter.set_powerlimits((-2, 3))
    bar.ax.yaxis.get_offset_text().set_fontsize(6)
    bar.update_ticks()
    if unit:
        bar.set_label(unit, fontsize=6)


def frame(ax: Axes, panel: Panel, signed: bool) -> None:
    color = CYCLE[2] if signed else "white"
    if panel.box is not None:
        x1, y1, x2, y2 = panel.box
        ax.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=1.3)
        )
    if panel.mask is not None and 0 < panel.mask.mean() < 1:
        ax.contour(panel.mask, levels=[0.5], colors=[color], linewidths=1.0)


def in_squares(values: np.ndarray, side: int) -> np.ndarray:
    """Each pixel gets the sum of its square; ``(H, W)`` as before."""
    if side == 1:
        return values
    height, width = values.shape
    padded = np.pad(values, ((0, -height % side), (0, -width % side)))
    rows, columns = (length // side for length in padded.shape)
    sums = padded.reshape(rows, side, columns, side).sum((1, 3))
    return sums.repeat(side, 0).repeat(side, 1)[:height, :width]


def bound_of(values: np.ndarray) -> float:
    """Returns the value at which colors saturate; never zero."""
    size = np.abs(values)
    return float(np.percentile(size, SHARE_DRAWN)) or float(size.max()) or 1.0


@styled
def sanity_curve(layers: Sequence[str], mean: np.ndarray, std: np.ndarray, title: str) -> Figure:
    """Plots the rank correlation after each randomized layer, from the output to the input.

    Args:
        layers: (L,).
        mean: over the samples, (L,).
        std: as ``mean``.
        title: title of the figure.
    """
    names = ["trained", *layers]
    mean, std = np.concatenate([[1.0], mean]), np.concatenate([[0.0], std])
    fig, axes = new_figure(max(4.5, 0.36 * len(names) + 1.5), 3.2, title=title)
    ax = axes[0, 0]
    places = np.arange(len(names))
    ax.fill_between(places, mean - std, mean + std, color=CYCLE[0], alpha=0.2, linewidth=0)
    ax.plot(places, mean, color=CYCLE[0], marker="o")
    ax.axhline(0, color=MUTED, linewidth=0.8)
    ax.set_xticks(
        places, [label(name, 22) for name in names], rotation=60, ha="right", rotation_mode="anchor"
    )
    ax.set(ylim=(min(-0.3, float((mean - std).min()) - 0.05), 1.05), ylabel="rank correlation")
    ax.set_xlabel("randomised up to here")
    return fig
