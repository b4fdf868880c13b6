"""Cats vs Dogs: 25 000 photographs of pets, from Microsoft's public archive or a local folder.

Elson, Douceur, Howell, Saul: Asirra, a CAPTCHA that exploits interest-aligned manual image categorization,
ACM CCS 2007.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar, Unpack

from runner.data.download.archive import extract
from runner.data.download.file import data_folder, disk_error, download, locked
from runner.data.images.folder import ImageFolderDataModule, ImageFolderOptions
from runner.data.images.tree import scan_tree
from runner.data.images.verify import BROKEN_LIST, describe, verify_images, write_broken

__all__ = ["CatsDogsDataModule"]

INSIDE = "PetImages"

logger = logging.getLogger(__name__)


class CatsDogsDataModule(ImageFolderDataModule):
    """A local folder in any layout of ImageFolderDataModule, or the downloaded archive.

    Broken files of the archive are detected and listed once, after extraction.

    Args:
        root: a folder that contains the photographs; the archive is downloaded when None.
        data_dir: folder for the download; ``$RUNNER_DATA`` or ``~/.cache/runner`` when None.

    The other arguments are those of ImageFolderDataModule.

    Attributes:
        url, size, sha256: identify the archive. URL and size come from TensorFlow Datasets and public
            download logs, the SHA-256 from GoMLX's dogsvscats example.
        unpacked_size: approximate size of the extracted files, in bytes.
    """

    url: ClassVar[str] = (
        "https://download.microsoft.com/download/3/E/1/3E1C3F21-ECDB-4869-8368-6DEBA77B919F/"
        "kagglecatsanddogs_5340.zip"
    )
    size: ClassVar[int] = 824_887_076
    sha256: ClassVar[str] = "b7974bd00a84a99921f36ee4403f089853777b5ae8d151c76a86e64900334af9"
    unpacked_size: ClassVar[int] = 900_000_000

    def __init__(
        self,
        root: str | None = None,
        *,
        data_dir: str | None = None,
        **options: Unpack[ImageFolderOptions],
    ) -> None:
        super().__init__(root=root or "", can_flip=True, **options)
        self.is_download = root is None
        self.data_dir = data_dir

    @property
    def archive(self) -> Path:
        """The downloaded archive."""
        return data_folder(self.data_dir) / "catsdogs" / self.url.rpartition("/")[2]

    @property
    def folder(self) -> Path:
        root = self.archive.with_suffix("") if self.is_download else Path(self.root).expanduser()
        return root / INSIDE if (root / INSIDE).is_dir() else root

    @property
    def title(self) -> str:
        return "catsdogs"

    @property
    def origin(self) -> str:
        return self.url if self.is_download else super().origin

    def check(self) -> list[str]:
        """Checks a given folder. Downloaded files are checked after the download."""
        return super().check() if not self.is_download or self.folder.is_dir() else []

    def prepare_data(self) -> None:
        """Downloads, extracts and verifies the archive, unless this was done before.

        Raises:
            DataError: no network, no disk space, or an unexpected archive.
        """
        if not self.is_download:
            return
        unpacked = self.archive.with_suffix("")
        if not unpacked.is_dir():
            download(self.url, self.archive, self.sha256, self.size, self.unpacked_size)
            extract(self.archive, unpacked)
        if not (self.folder / BROKEN_LIST).is_file():
            try:
                with locked(unpacked):
                    self._list_broken()
            except OSError as error:
                raise disk_error(error, self.folder / BROKEN_LIST) from error

    def _list_broken(self) -> None:
        if (self.folder / BROKEN_LIST).is_file():  # written by the process that held the lock before
            return
        paths = scan_tree(self.folder).paths()
        broken = verify_images(self.folder, paths)
        write_broken(self.folder / BROKEN_LIST, broken, len(paths))
        for note in describe(broken):
            logger.warning(note)
