"""A progress bar for notebooks: one output that shows the bar, the latest metrics and their curves."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["NotebookBar", "curve_svg", "is_notebook"]

WIDTH, HEIGHT, PAD = 260, 120, 6
COLORS = {"train": "#4878a8", "val": "#d1652f"}


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, whose outputs can be replaced."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"


class NotebookBar:
    """The bar, with the interface of ``runner.callbacks.progress.LiveBar``.

    Attributes:
        history: values of each metric by epoch.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self._display: Any = None
        self._bar = ""

    def show(
        self, title: str, fraction: float | None, batches: str, times: str = "", metrics: str = ""
    ) -> None:
        """Redraw the bar; see ``LiveBar.show``."""
        value = "" if fraction is None else f' value="{fraction:.4f}"'
        texts = " · ".join(html.escape(text.strip()) for text in (title, batches, times) if text.strip())
        self._bar = f"<progress max=1{value} style='width:20em'></progress> {texts}"
        if metrics:
            self._bar += f"<br><code>{html.escape(metrics)}</code>"
        self._draw()

    def add_epoch(self, values: Mapping[str, float]) -> None:
        """Extend the curves by the metrics of an epoch."""
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        self._draw()

    def stop(self) -> None:
        """Remove the bar; the table and the curves remain."""
        self._bar = ""
        if self._display is not None:
            self._draw()

    def page(self) -> str:
        """Return the output as HTML."""
        names = sorted({name.partition("/")[2] for name in self.history if "/" in name})
        curves = "".join(
            curve_svg(
                name,
                {split: self.history[key] for split in COLORS if (key := f"{split}/{name}") in self.history},
            )
            for name in names
        )
        cells = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{values[-1]:.4g}</td></tr>"
            for name, values in self.history.items()
        )
        table = f"<table>{cells}</table>" if cells else ""
        style = "display:flex;gap:1em;align-items:center"
        return f"<div>{self._bar}</div><div style='{style}'>{curves}{table}</div>"

    def _draw(self) -> None:
        from IPython.display import HTML, display

        page = HTML(self.page())
        if self._display is None:
            self._display = display(page, display_id=True)
        else:
            self._display.update(page)


def curve_svg(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """Return a small line chart as SVG.

    Args:
        title: text above the chart.
        series: values by name, ``train`` or ``val``; values that are not finite interrupt the line.
    """
    finite = [value for values in series.values() for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    longest = max(map(len, series.values()))
    lines = []
    for name, values in series.items():
        points = []
        for index, value in enumerate(values):
            if math.isfinite(value):
                x = PAD + (WIDTH - 2 * PAD) * index / max(1, longest - 1)
                y = HEIGHT - PAD - (HEIGHT - 2 * PAD) * (value - low) / ((high - low) or 1)
                points.append(f"{x:.1f},{y:.1f}")
        color = COLORS[name]
        marks = "".join(
            f"<circle cx='{x}' cy='{y}' r='2' fill='{color}'/>"
            for x, y in (point.split(",") for point in points)
        )
        path = f"<polyline points='{' '.join(points)}' fill='none' stroke='{color}' stroke-width='1.5'/>"
        lines.append(path + marks)
    legend = " ".join(f"<tspan fill='{COLORS[name]}'>{name}</tspan>" for name in series)
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT + 18}' style='background:#fff'>"
        f"<text x='{PAD}' y='13' font-size='12' font-family='sans-serif'>{html.escape(title)} {legend}</text>"
        f"<text x='{WIDTH - PAD}' y='13' font-size='10' text-anchor='end' font-family='sans-serif'>"
        f"{low:.3g} to {high:.3g}</text><g transform='translate(0,18)'>{''.join(lines)}</g></svg>"
    )
