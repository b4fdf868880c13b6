"""Images that a notebook displays."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

__all__ = ["Figures", "as_image", "displayed"]


def as_image(figure: Figure) -> Image.Image:
    """Return a figure as an image, which notebooks display without a backend of matplotlib."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return Image.open(buffer)


def displayed(result: Figure | pd.DataFrame) -> Image.Image | pd.DataFrame:
    """Return a result in a form that notebooks display: a figure as an image, a table unchanged."""
    return as_image(result) if isinstance(result, Figure) else result


class Figures(Mapping[str, Image.Image]):
    """PNG files by name; a notebook shows them all, ``figures["curves"]`` is one of them.

    Args:
        paths: the files by name.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.paths = dict(paths)

    @classmethod
    def of_folder(cls, folder: Path) -> Figures:
        """Return the figures of a folder, sorted by name."""
        return cls({path.stem: path for path in sorted(folder.glob("*.png"))})

    def __getitem__(self, name: str) -> Image.Image:
        """Return a figure.

        Raises:
            KeyError: it does not exist; the message lists the existing ones.
        """
        if name not in self.paths:
            raise KeyError(f"{name}. Available: {', '.join(self.paths) or 'none'}")
        with Image.open(self.paths[name]) as image:
            image.load()
            return image

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"Figures({', '.join(self.paths)})"

    def _repr_html_(self) -> str:
        images = []
        for name, path in self.paths.items():
            data = base64.b64encode(path.read_bytes()).decode()
            images.append(
                f"<figure><figcaption>{html.escape(name)}</figcaption>"
                f"<img style='max-width:100%' src='data:image/png;base64,{data}'></figure>"
            )
        return "".join(images)
