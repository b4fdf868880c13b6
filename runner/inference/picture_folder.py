"""Pictures of predictions, in a folder."""

from __future__ import annotations

from pathlib import Path

from PIL.Image import Image

from runner.errors import UserError

__all__ = ["PictureFolder"]


class PictureFolder:
    """Writes ``FOLDER/INPUT_NAME.png``; of two inputs of one name the second gets a number.

    Args:
        path: made when the first picture comes. Files of an earlier prediction are written over.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._taken: set[str] = set()

    def write(self, source: str, pictures: dict[str, Image]) -> dict[str, str]:
        """Writes the pictures of one input; returns where each went, by its name.

        Raises:
            UserError: there are none, or the folder cannot be written.
        """
        if not pictures:
            raise UserError(
                f"--output {self.path}: a folder is for pictures, and this run's task draws none. "
                "Name a .json or .csv file."
            )
        stem = first = Path(source).stem
        number = 1
        while stem in self._taken:
            number += 1
            stem = f"{first}-{number}"
        self._taken.add(stem)
        files = {name: self.path / f"{stem}_{name}.png" for name in pictures}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name, picture in pictures.items():
                picture.save(files[name])
        except OSError as error:
            raise UserError(
                f"--output {self.path} cannot be written: {error.strerror}. Name another."
            ) from error
        return {name: str(file) for name, file in files.items()}
