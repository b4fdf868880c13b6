"""Comparisons of optimizers, and of models by speed and accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from runner.plots.style import CYCLE, MUTED, label, new_figure, styled

__all__ = ["optimizer_curves", "speed_accuracy"]

STYLES = ("-", "--", ":")


@styled
def optimizer_curves(
    metrics: Mapping[str, Mapping[str, Sequence[tuple[int, int, float]]]],
    title: str = "Optimizers on one problem",
) -> Figure:
    """Training and validation loss over the steps, side by side on one log axis; the same colours in both.

    Args:
        metrics: optimizer → metric → points (step, epoch, value).
        title: title of the figure.
    """
    fig, axes = new_figure(8.4, 3.4, cols=2, title=title, sharey=True)
    for ax, key in zip(axes[0], ("train/loss", "val/loss"), strict=True):
        for position, (name, of_run) in enumerate(metrics.items()):
            points = np.array(of_run.get(key, ()), dtype=float).reshape(-1, 3)
            style = STYLES[position // len(CYCLE) % len(STYLES)]
            ax.plot(points[:, 0], points[:, 2], style, color=CYCLE[position % len(CYCLE)], label=label(name))
        ax.set_yscale("log")
        ax.set_xlabel("step")
        ax.set_title({"train/loss": "training loss", "val/loss": "validation loss"}[key])
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


@styled
def speed_accuracy(
    times_ms: Mapping[str, Sequence[float]],
    scores: Mapping[str, float],
    groups: Mapping[str, str],
    score_name: str = "mAP",
    title: str = "Speed and accuracy",
) -> Figure:
    """A point a model: median time to the right, score upwards; a line spans the middle half of the times.

    Args:
        times_ms: model → times of single images.
        scores: model → score from 0 to 1.
        groups: model → its kind; a colour each.
        score_name: name of the score.
        title: title of the figure.
    """
    fig, axes = new_figure(7.0, 4.6, title=title)
    ax = axes[0, 0]
    kinds = list(dict.fromkeys(groups.values()))
    for kind, color in zip(kinds, CYCLE, strict=False):
        names = [name for name in times_ms if groups[name] == kind]
        low, middle, high = np.array([np.percentile(times_ms[name], (25, 50, 75)) for name in names]).T
        reached = [scores[name] for name in names]
        ax.errorbar(middle, reached, xerr=(middle - low, high - middle), fmt="o", color=color, markersize=7,
                    capsize=3, label=kind)  # fmt: skip
        for name, x, y in zip(names, middle, reached, strict=True):
            ax.annotate(
                f"{label(name)}\n{x:.0f} ms · {y:.3f}",
                (x, y),
                xytext=(8, -3),
                textcoords="offset points",
                fontsize=8,
                va="top",
                color=MUTED,
            )
    longest = max(float(np.percentile(values, 75)) for values in times_ms.values())
    ax.set(xlabel="time for one image, ms", ylabel=score_name, xlim=(0, longest * 1.35))
    ax.set_ylim(max(0.0, min(scores.values()) - 0.15), min(1.02, max(scores.values()) + 0.1))
    ax.legend(loc="lower right")
    return fig
