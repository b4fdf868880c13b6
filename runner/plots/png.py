"""From a Figure to a PNG file, or to a picture in memory."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from runner.plots.style import rc

__all__ = ["to_image", "to_png"]


def to_png(fig: Figure, path: Path | str, dpi: int = 130) -> Path:
    """Write a figure; its folder is made, and a half-written file never carries the final name.

    Raises:
        OSError: the folder or file cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with matplotlib.rc_context(rc()), warnings.catch_warnings():
        # A class name in a script without an installed font is drawn as boxes; one warning per glyph does not help.
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
