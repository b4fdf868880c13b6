"""A loss along a line through weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from runner.plots.style import CYCLE, INK, MUTED, label, new_figure, styled

__all__ = ["DrawnLosses", "landscape_contours", "landscape_line", "landscape_surface"]

NUM_LEVELS = 24
WIDE = 5.0
"""Ratio of highest to lowest loss from which a logarithmic scale is used."""
MAX_DECADES = 6
COLORS = "viridis"


@dataclass
class DrawnLosses:
    """Losses as they can be drawn.

    Attributes:
        values: losses clipped to ``high``, which also replaces non-finite values.
        is_log: whether to use a logarithmic scale.
        note: description of clipped values; empty if none were clipped.
    """

    values: np.ndarray
    low: float
    high: float
    is_log: bool
    note: str

    @classmethod
    def of(cls, losses: np.ndarray) -> DrawnLosses:
        """Prepares losses for drawing.

        Raises:
            ValueError: none of the losses is finite.
        """
        losses = np.asarray(losses, dtype=float)
        finite = losses[np.isfinite(losses)]
        if not finite.size:
            raise ValueError("no loss is finite")
        low, top = float(finite.min()), float(finite.max())
        is_log = low > 0 and top / low > WIDE
        if is_log:
            high = min(top, low * 10**MAX_DECADES, 10 * float(np.quantile(finite, 0.95)))
        else:
            most = float(np.quantile(finite, 0.9))
            high = min(top, most + 5 * (most - low)) if most > low else top
        count, above = losses.size - finite.size, int((finite > high).sum())
        parts = [f"{count} not finite"] if count else []
        parts += [f"{above} above {high:.3g}"] if above else []
        note = f"clipped: {' and '.join(parts)} of {losses.size} points" if parts else ""
        return cls(np.where(np.isfinite(losses), np.minimum(losses, high), high), low, high, is_log, note)

    def norm(self) -> Normalize:
        high = self.high if self.high > self.low else self.low + (abs(self.low) or 1.0) * 1e-3
        return LogNorm(self.low, high) if self.is_log else Normalize(self.low, high)

    def levels(self) -> np.ndarray:
        norm = self.norm()
        return norm.inverse(np.linspace(0, 1, NUM_LEVELS)).data


@styled
def landscape_contours(
    x: np.ndarray,
    y: np.ndarray,
    losses: np.ndarray,
    path: np.ndarray | None = None,
    steps: Sequence[int] = (),
    axes_names: Sequence[str] = ("direction 1", "direction 2"),
    title: str = "Loss landscape",
    note: str = "",
) -> Figure:
    """The loss by colour and lines of equal loss; the checkpoint at the origin is a cross.

    Args:
        x: where the grid's lines are, ``(X,)`` and ``(Y,)``.
        y: as ``x``.
        losses: ``(Y, X)``; non-finite ones are drawn at the upper end of the scale, with a note.
        path: points on the training trajectory, ``(n, 2)``.
        steps: training step of each point.
        note: written below.
        axes_names: labels of the axes.
        title: title of the figure.
    """
    drawn = DrawnLosses.of(losses)
    fig, axes = new_figure(6.6, 5.6, title=title)
    ax = axes[0, 0]
    levels = drawn.levels()
    filled = ax.contourf(x, y, drawn.values, levels=levels, norm=drawn.norm(), cmap=COLORS)
    ax.contour(x, y, drawn.values, levels=levels[::2], colors="white", linewidths=0.5, alpha=0.55)
    bar = fig.colorbar(
        filled, ax=ax, label="loss", pad=0.02, format=FuncFormatter(lambda value, _: f"{value:.3g}")
    )
    bar.ax.minorticks_off()
    bar.set_ticks(levels[:: max(1, (NUM_LEVELS - 1) // 5)].tolist())
    bar.outline.set_visible(False)
    if path is not None and len(path):
        draw_path(ax, path, steps)
    ax.plot([0], [0], "x", color="white", markersize=9, markeredgewidth=2.6, zorder=6)
    ax.plot([0], [0], "x", color=INK, markersize=8, markeredgewidth=1.4, zorder=7)
    ax.grid(False)
    ax.set(xlabel=label(axes_names[0], 48), ylabel=label(axes_names[1], 48))
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    write_notes(fig, note, drawn.note)
    return fig


def draw_path(ax: Axes, path: np.ndarray, steps: Sequence[int]) -> None:
    """The points joined, the first and the last with their step."""
    ax.plot(*path.T, color="white", linewidth=3.0, zorder=4, solid_capstyle="round")
    ax.plot(
        *path.T, "o-", color=CYCLE[1], markeredgecolor="white", markeredgewidth=0.8, markersize=5, zorder=5
    )
    for place in dict.fromkeys((0, len(path) - 1)) if len(steps) else ():
        ax.annotate(
            f"step {steps[place]}",
            path[place],
            xytext=(6, 6),
            textcoords="offset points",
            fontsize=8,
            color=INK,
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.8, "linewidth": 0},
            zorder=8,
        )


def write_notes(fig: Figure, *notes: str) -> None:
    text = " · ".join(note for note in notes if note)
    if text:
        fig.supxlabel(label(text, 120), x=0.01, ha="left", fontsize=8, color=MUTED)


@styled
def landscape_surface(
    x: np.ndarray,
    y: np.ndarray,
    losses: np.ndarray,
    path: np.ndarray | None = None,
    path_losses: np.ndarray | Sequence[float] = (),
    axes_names: Sequence[str] = ("direction 1", "direction 2"),
    title: str = "Loss landscape",
    note: str = "",
) -> Figure:
    """The loss as height; arguments as for ``landscape_contours``.

    Args:
        path_losses: the height of each point of the path.
        axes_names: labels of the axes.
        losses: loss at each position.
        note: text below the figure.
        path: points of the training path.
        title: title of the figure.
        x: positions on the horizontal axis.
        y: positions on the vertical axis.
    """
    drawn = DrawnLosses.of(losses)
    fig, axes = new_figure(6.6, 5.6, title=title, subplot_kw={"projection": "3d", "computed_zorder": False})
    ax = axes[0, 0]
    height = np.log10 if drawn.is_log else np.asarray
    norm = drawn.norm()
    lowest, highest = (float(height(np.float64(limit or 0.0))) for limit in (norm.vmin, norm.vmax))
    colors = Normalize(lowest, highest)
    ax.plot_surface(
        *np.meshgrid(x, y), height(drawn.values), cmap=COLORS, norm=colors, rcount=len(y), ccount=len(x),
        linewidth=0.15, edgecolor=(1, 1, 1, 0.35), antialiased=True, zorder=1,
    )  # fmt: skip
    if path is not None and len(path):
        heights = height(np.clip(np.nan_to_num(path_losses, nan=drawn.high), drawn.low, drawn.high))
        ax.plot(*path.T, heights, "o-", color=CYCLE[1], markersize=4, markeredgecolor="white", zorder=5)
    ax.set_xlabel(label(axes_names[0], 40), labelpad=4)
    ax.set_ylabel(label(axes_names[1], 40), labelpad=4)
    ax.set_zlabel("loss", labelpad=4)
    if drawn.is_log:
        ax.zaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:.2g}"))
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_major_locator(MaxNLocator(5))
    ax.tick_params(pad=1)
    ax.view_init(elev=32, azim=-60)
    ax.set_box_aspect((1, 1, 0.75), zoom=0.94)
    write_notes(fig, note, drawn.note)
    return fig


@styled
def landscape_line(
    x: np.ndarray,
    losses: np.ndarray,
    marks: Mapping[str, tuple[float, float]] | None = None,
    axis_name: str = "direction 1",
    title: str = "Loss along a line",
    note: str = "",
) -> Figure:
    """Plots the loss along a line.

    Args:
        x: ``(X,)``.
        losses: ``(X,)``; non-finite values leave a gap in the line, which a note states.
        marks: by what it is called, place and loss of a point that is marked.
        axis_name: label of the axis.
        note: text below the figure.
        title: title of the figure.
    """
    drawn = DrawnLosses.of(losses)
    fig, axes = new_figure(7.0, 3.8, title=title)
    ax = axes[0, 0]
    ax.plot(x, np.where(np.isfinite(losses), drawn.values, np.nan), color=CYCLE[0])
    for position, (name, (place, loss)) in enumerate((marks or {}).items()):
        color = CYCLE[1 + position % (len(CYCLE) - 1)]
        ax.plot([place], [min(loss, drawn.high)], "o", color=color, markersize=7, markeredgecolor="white",
                zorder=5, label=label(name, 40))  # fmt: skip
    if drawn.is_log:
        ax.set_yscale("log")
    ax.set(xlabel=label(axis_name, 90), ylabel="loss")
    if marks:
        ax.legend()
    write_notes(fig, note, drawn.note)
    return fig
