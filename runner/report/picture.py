"""The plots of a run as embedded pictures for a page, sized and sorted."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from runner.run.directory import RunDir

__all__ = ["Picture", "load_picture", "load_pictures"]

SECTIONS = ("test", "val", "train", "explanations", "landscape")
EXPLAINED = ("overview", "columns", "sanity")
"""Files of each kind of explanation that are shown; pictures of single inputs are not."""
ORDER = (
    "confusion",
    "class_scores",
    "boundary",
    "regression",
    "most_wrong",
    "calibration",
    "precision_recall",
)
CHARTS = (
    "accuracy",
    "boundary",
    "box_scores",
    "calibration",
    "class_scores",
    "confusion",
    "curves",
    "forecast",
    "learning_rate",
    "lengths",
    "lr_finder",
    "precision_recall",
    "regression",
    "residuals",
)
"""Beginnings of the names of plots without photos."""
CSS_PIXELS_PER_PIXEL = 96 / 130
"""Plots are written with 130 dpi and shown with 96 dpi, so that their text has the same size everywhere."""
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """One plot.

    Attributes:
        name: name of its file, such as "test_confusion".
        split: train, val, test, explanations or landscape; empty for other plots.
        source: the image as a ``data:`` URL.
        width_px: natural width on the page in CSS pixels.
    """

    name: str
    split: str
    source: str
    width_px: int

    @property
    def kind(self) -> str:
        """The name without the split, such as "confusion"."""
        return self.name.removeprefix(f"{self.split}_")

    @property
    def look(self) -> str:
        """Class of the image: colours of charts are inverted in dark mode, those of photos are not."""
        return "chart" if self.kind.startswith(CHARTS) else "photo"

    @property
    def alt(self) -> str:
        """The alternative text."""
        return self.name.replace("_", " ")


def load_pictures(run: RunDir) -> list[Picture]:
    """Return all plots of a run: test before val, the most informative first. Broken files are omitted."""
    paths = [*run.plots.glob("*.png"), *run.landscape.glob("*.png")]
    pictures = [picture for path in paths if (picture := load_picture(path)) is not None]
    return sorted([*pictures, *_explanations(run)], key=_sort_key)


def _explanations(run: RunDir) -> list[Picture]:
    """Return the overviews of all explanations, named after their methods."""
    pictures = []
    for path in sorted(run.explanations.glob("*/*.png")):
        picture = load_picture(path) if path.stem in EXPLAINED else None
        if picture is not None:
            name = f"explanations_{path.parent.name}_{path.stem}"
            pictures.append(replace(picture, name=name, split="explanations"))
    return pictures


def load_picture(path: Path) -> Picture | None:
    """Return one plot; None if the file is missing or not a PNG."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not data.startswith(PNG_MAGIC) or len(data) < 24:
        return None
    (width,) = struct.unpack(">I", data[16:20])
    split = path.stem.partition("_")[0]
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    return Picture(path.stem, split if split in SECTIONS else "", source, round(width * CSS_PIXELS_PER_PIXEL))


def _sort_key(picture: Picture) -> tuple[int, int, str]:
    split = SECTIONS.index(picture.split) if picture.split else len(SECTIONS)
    kinds = [i for i, kind in enumerate(ORDER) if picture.kind.startswith(kind)]
    return split, kinds[0] if kinds else len(ORDER), picture.name
