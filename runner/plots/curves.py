"""Training against validation scores of several ways to train."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from runner.plots.style import CYCLE, MUTED, SPLIT_COLORS, label, new_figure, styled

__all__ = ["metric_curves", "metric_panels", "overfitting_gap"]

Points = Sequence[tuple[int, int, float]]
SPLITS = ("train", "val", "test")
NAN_COLOR = "#b91c1c"


@styled
def metric_curves(
    metrics: Mapping[str, Points], best: tuple[int, int] | None = None, title: str = "Training curves"
) -> Figure:
    """Curves of every metric, its splits together, the loss first.

    Args:
        metrics: key such as "val/loss" → points (step, epoch counted from 0, value). Values that are not
            finite leave a gap and are marked at the foot of the panel.
        best: (step, epoch) of the best checkpoint, marked in all panels.
        title: title of the figure.
    """
    panels = metric_panels(metrics)
    cols = {1: 1, 2: 2, 4: 2, 7: 4, 8: 4}.get(len(panels), 3 if len(panels) <= 9 else 4)
    rows = max(math.ceil(len(panels) / cols), 1)
    width = {1: 7.0, 2: 9.0, 3: 11.5, 4: 13.5}[cols]
    fig, axes = new_figure(width, rows * (3.4 if cols == 1 else 2.7) + 0.35, rows, cols, title)
    steps_per_epoch = _steps_per_epoch(metrics)
    per_epoch = steps_per_epoch is None and all(_one_point_an_epoch(points) for points in metrics.values())
    for ax, (name, lines) in zip(axes.flat, panels.items(), strict=False):
        _draw_panel(ax, name, lines, per_epoch, steps_per_epoch)
        if best is not None:
            at = _positions(np.array([best]), per_epoch, steps_per_epoch)[0]
            ax.axvline(at, color=MUTED, linestyle=":", linewidth=1.2, label="best checkpoint")
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="best")
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_visible(False)
    if not panels:
        axes.flat[0].set_visible(True)
        axes.flat[0].text(0.5, 0.5, "no metric was logged", ha="center", va="center", color=MUTED)
    return fig


def metric_panels(metrics: Mapping[str, Points]) -> dict[str, dict[str, Points]]:
    """Return the lines of each panel: ``{"loss": {"train": points, "val": points}, …}``, losses first."""
    panels: dict[str, dict[str, Points]] = defaultdict(dict)
    for key, points in metrics.items():
        split, _, name = key.partition("/")
        if split not in SPLITS or not name:
            split, name = "", key
        # A test metric is one point at the end: a table shows it better than a curve.
        if len(points) and split != "test":
            panels[name][split] = points
    return dict(sorted(panels.items(), key=lambda item: (item[0] != "loss", "loss" not in item[0])))


def _one_point_an_epoch(points: Points) -> bool:
    epochs = [epoch for _, epoch, _ in points]
    return len(set(epochs)) == len(epochs)


def _steps_per_epoch(metrics: Mapping[str, Points]) -> float | None:
    """Steps of an epoch, read off the validation points (they come at its end); None where there are none."""
    ends = [
        step / (epoch + 1)
        for key, points in metrics.items()
        if key.startswith("val/")
        for step, epoch, _ in points
    ]
    return float(np.median(ends)) if ends and min(ends) > 0 else None


def _positions(points: np.ndarray, per_epoch: bool, steps_per_epoch: float | None) -> np.ndarray:
    """Where points (N, 2 or more: step, epoch, …) stand on the x axis: epochs done, or steps."""
    if per_epoch:
        return points[:, 1] + 1.0
    return points[:, 0] / (steps_per_epoch or 1.0)


def _draw_panel(
    ax: Axes, name: str, lines: dict[str, Points], per_epoch: bool, steps_per_epoch: float | None
) -> None:
    values = np.array([value for points in lines.values() for _, _, value in points], dtype=float)
    for order, (split, points) in enumerate(
        sorted(lines.items(), key=lambda item: SPLITS.index(item[0] or "train"))
    ):
        array = np.array(points, dtype=float)
        color = SPLIT_COLORS.get(split, CYCLE[order % len(CYCLE)])
        _draw_line(ax, _positions(array, per_epoch, steps_per_epoch), array[:, 2], color, split or None)
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() > 30 * finite.min():
        ax.set_yscale("log")
    if not len(finite):
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no finite value", ha="center", va="center", color=MUTED, transform=ax.transAxes)
    ax.set_title(label(name, 40))
    ax.set_xlabel("epoch" if per_epoch or steps_per_epoch else "step")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    ax.margins(x=0.03, y=0.08)


def _draw_line(ax: Axes, x: np.ndarray, y: np.ndarray, color: str, name: str | None) -> None:
    """One curve; a dense one is drawn faint with its moving average on top, so that its trend is seen."""
    finite = np.isfinite(y)
    shown = np.where(finite, y, np.nan)
    if len(y) > 120:
        ax.plot(x, shown, color=color, alpha=0.22, linewidth=0.8)
        ax.plot(x[finite], _moving_average(y[finite], max(len(y) // 50, 5)), color=color, label=name)
    else:
        ax.plot(x, shown, color=color, label=name, marker="o" if len(y) <= 30 else None)
    if not finite.all():
        lost = x[~finite]
        lost = lost[np.linspace(0, len(lost) - 1, min(len(lost), 12)).round().astype(int)]
        label_once = None if "not finite" in ax.get_legend_handles_labels()[1] else "not finite"
        ax.plot(lost, np.full(len(lost), 0.03), "x", color=NAN_COLOR, transform=ax.get_xaxis_transform(),
                markersize=6, label=label_once, clip_on=False)  # fmt: skip


def _moving_average(values: np.ndarray, width: int) -> np.ndarray:
    """Mean over the window of `width` values around each, shorter at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    first, last = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


@styled
def overfitting_gap(
    scores: Mapping[str, Sequence[tuple[float, float]]],
    title: str = "Overfitting",
    score_name: str = "accuracy",
) -> Figure:
    """A point a run for train and for validation, a line at each mean.

    And the gap between the means in words.

    Args:
        scores: way to train → pairs (train, validation), one a run.
        score_name: name of the score.
        title: title of the figure.
    """
    fig, axes = new_figure(7.0, 3.6, title=title)
    ax = axes[0, 0]
    for position, pairs in enumerate(scores.values()):
        values = np.array(pairs, dtype=float).reshape(-1, 2)
        for column, split in enumerate(("train", "val")):
            place = position + (column - 0.5) * 0.3
            spread = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else np.zeros(len(values))
            ax.plot(
                place + spread,
                values[:, column],
                "o",
                color=SPLIT_COLORS[split],
                alpha=0.75,
                zorder=3,
                label={"train": "train", "val": "validation"}[split] if position == 0 else None,
            )
            mean = values[:, column].mean()
            ax.plot([place - 0.11, place + 0.11], [mean, mean], color=SPLIT_COLORS[split], linewidth=2.2)
        high, low = values.mean(0)
        ax.annotate(
            "", (position, low), (position, high), arrowprops={"arrowstyle": "<->", "color": "#6b7280"}
        )
        ax.annotate(
            f"{100 * (high - low):+.1f} points",
            (position, max(high, low)),
            (0, 12),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    ax.set_xticks(range(len(scores)), [label(name) for name in scores])
    ax.set_xlim(-0.6, len(scores) - 0.4)
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.12 * (high - low))
    ax.grid(axis="x", visible=False)
    ax.set_ylabel(score_name)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig
