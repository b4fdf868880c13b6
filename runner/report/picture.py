"""The plots of a run as pictures for a page: embedded, sized, in an order that reads well."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from runner.run.directory import RunDir

__all__ = ["Picture", "load_picture", "load_pictures"]

SECTIONS = ("test", "val", "train", "explanations", "landscape")
EXPLAINED = ("overview", "columns", "sanity")
"""What is shown of each kind of explanation: not the pictures of single inputs."""
ORDER = (
    "confusion",
    "class_scores",
    "boundary",
    "regression",
    "most_wrong",
    "calibration",
    "precision_recall",
)
CSS_PIXELS_A_PIXEL = (
    96 / 130
)  # plots are written with 130 dots an inch: their text then has one size everywhere
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """One plot.

    Attributes:
        name: of its file, such as "test_confusion".
        split: train, val, test, explanations or landscape; empty for a plot that belongs to none.
        source: a data: address with the whole image.
        width_px: natural width on the page.
    """

    name: str
    split: str
    source: str
    width_px: int

    @property
    def kind(self) -> str:
        return self.name.removeprefix(f"{self.split}_")

    @property
    def alt(self) -> str:
        return self.name.replace("_", " ")


def load_pictures(run: RunDir) -> list[Picture]:
    """All plots of a run, those of test before those of val, the telling ones first.

    Broken files are left out.
    """
    paths = [*run.plots.glob("*.png"), *run.landscape.glob("*.png")]
    pictures = [picture for path in paths if (picture := load_picture(path)) is not None]
    return sorted([*pictures, *_explanations(run)], key=_place)


def _explanations(run: RunDir) -> list[Picture]:
    """Each named for its method."""
    found = []
    for path in sorted(run.explanations.glob("*/*.png")):
        picture = load_picture(path) if path.stem in EXPLAINED else None
        if picture is not None:
            name = f"explanations_{path.parent.name}_{path.stem}"
            found.append(replace(picture, name=name, split="explanations"))
    return found


def load_picture(path: Path) -> Picture | None:
    """One plot; None where the file is missing or is no PNG."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if not data.startswith(PNG_MAGIC) or len(data) < 24:
        return None
    (width,) = struct.unpack(">I", data[16:20])
    split = path.stem.partition("_")[0]
    source = "data:image/png;base64," + base64.b64encode(data).decode()
    return Picture(path.stem, split if split in SECTIONS else "", source, round(width * CSS_PIXELS_A_PIXEL))


def _place(picture: Picture) -> tuple:
    split = SECTIONS.index(picture.split) if picture.split else len(SECTIONS)
    kinds = [i for i, kind in enumerate(ORDER) if picture.kind.startswith(kind)]
    return split, kinds[0] if kinds else len(ORDER), picture.name
