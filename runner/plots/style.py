"""The style of all plots, and their conversion to PNG files."""

from __future__ import annotations

import functools
import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.rcsetup import cycler
from PIL import Image

__all__ = [
    "CYCLE",
    "INK",
    "MUTED",
    "SPLIT_COLORS",
    "class_colors",
    "label",
    "new_figure",
    "rc",
    "styled",
    "to_image",
    "to_png",
]

P = ParamSpec("P")
Drawing = TypeVar("Drawing", bound=Figure | None)


def to_png(fig: Figure, path: Path | str, dpi: int = 130) -> Path:
    """Write a figure; its folder is made, and a half-written file never carries the final name.

    Raises:
        OSError: the folder or file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with matplotlib.rc_context(rc()), warnings.catch_warnings():
        # A class name in a script without an installed font is drawn as boxes; one warning per glyph does not
        # help.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        fig.savefig(partial, dpi=dpi, format="png", facecolor="white")
    partial.replace(path)
    return path


def to_image(fig: Figure, dpi: int = 130) -> Image.Image:
    """A figure as RGB pixels."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(rc()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        fig.savefig(buffer, dpi=dpi, format="png", facecolor="white")
    return Image.open(buffer).convert("RGB")


INK = "#1f2328"
MUTED = "#6b7280"
GRID = "#e5e7eb"
# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), without its yellow: too faint on white.
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SPLIT_COLORS = {"train": "#0072B2", "val": "#D55E00", "test": "#009E73"}
# DejaVu ships with matplotlib; the others lend it the scripts it lacks, where they are installed.
FONTS = ("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "Microsoft YaHei",
         "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Devanagari")  # fmt: skip


@functools.cache
def rc() -> dict:
    """Matplotlib settings of the house style."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return {
        "font.family": [name for name in FONTS if name in installed] or ["sans-serif"],
        "font.size": 9,
        "text.color": INK,
        "figure.facecolor": "white",
        "figure.titlesize": 11,
        "figure.titleweight": "bold",
        "axes.facecolor": "white",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.labelcolor": INK,
        "axes.edgecolor": "#9ca3af",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=CYCLE),
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
    }


def styled(plot: Callable[P, Drawing]) -> Callable[P, Drawing]:
    """Decorates a plot with the style of this module; the caller's matplotlib settings stay unchanged."""

    @functools.wraps(plot)
    def draw(*args: P.args, **kwargs: P.kwargs) -> Drawing:
        with matplotlib.rc_context(rc()):
            return plot(*args, **kwargs)

    return draw


def new_figure(
    width_in: float, height_in: float, rows: int = 1, cols: int = 1, title: str | None = None, **grid: Any
) -> tuple[Figure, np.ndarray]:
    """A figure with a rows × cols array of axes; the title stands left, above all of them."""
    fig = Figure(figsize=(width_in, height_in), layout=ConstrainedLayoutEngine(w_pad=0.07, h_pad=0.06))
    FigureCanvasAgg(fig)
    axes = fig.subplots(rows, cols, squeeze=False, **grid)
    for ax in axes.flat:
        # Ticks are made lazily, after the style's context has ended: their looks are set on the axes.
        ax.tick_params(labelsize=8, colors=MUTED, length=3)
    if title:
        fig.suptitle(label(title, int(width_in * 9.5)), x=0.01, ha="left")
    return fig, axes


def as_picture(ax: Axes) -> None:
    """Take ticks, grid and frame off axes that show an image."""
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def label(text: object, length: int = 24) -> str:
    """Text safe to draw: one line, at most `length` characters (cut in the middle), no mathtext."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in str(text))).strip()
    if len(line) > length:
        head = math.ceil((length - 1) * 0.6)
        line = line[:head].rstrip() + "…" + line[len(line) - (length - 1 - head) :].lstrip()
    return line.replace("$", r"\$")


def class_colors(num_classes: int) -> Sequence[str | tuple]:
    """One colour a class: the house palette, or evenly spaced hues when it is too short."""
    if num_classes <= len(CYCLE):
        return CYCLE[:num_classes]
    return [tuple(color) for color in matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, num_classes))]


def class_labels(class_names: Sequence[str] | None, num_classes: int, length: int = 24) -> list[str]:
    """Drawable names of all classes: their numbers where no names are given."""
    names = class_names if class_names is not None else range(num_classes)
    return [label(name, length) for name in names]
