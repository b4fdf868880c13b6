"""Images that a notebook displays."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

__all__ = ["Figures"]


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
