"""Data module of parallel texts: one file per language and split, one sentence per line."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Unpack

from runner.data.class_folders import split_of_folder
from runner.data.text.pairs import Pairs, PairsDataModule, PairsOptions
from runner.data.text.table import read_text, required_path
from runner.errors import DataError

__all__ = ["ParallelTextDataModule"]


class ParallelTextDataModule(PairsDataModule):
    """A folder of files ``train.en``, ``train.de``, ``val.en`` …, plain or ``.gz``; test files are optional.

    The names of the splits are those of ``runner.data.class_folders``: ``valid.en`` and ``dev.en`` are
    validation, too.

    Args:
        path: the folder.
        source, target: languages, the suffixes of the files.
        test: name of the test files without the suffix, if several begin with ``test``.
        encoding: encoding of the files, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are
            detected when None.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        source: str = "en",
        target: str = "de",
        test: str | None = None,
        encoding: str | None = None,
        **options: Unpack[PairsOptions],
    ) -> None:
        super().__init__(**options)
        self.path = str(Path(path).expanduser()) if path else None
        self.source, self.target, self.test = source, target, test
        self.encoding = encoding

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return Path(required_path(self.path))

    @property
    def title(self) -> str:
        return f"{self.folder.absolute().name} {self.source}-{self.target}"

    def check(self) -> list[str]:
        if not self.path:
            return [*super().check(), "data.path is not set: name the folder with data.path=FOLDER."]
        if not Path(self.path).is_dir():
            return [*super().check(), f"data.path={self.path}: no such folder."]
        try:
            self.files()
        except DataError as error:
            return [*super().check(), str(error)]
        return super().check()

    def files(self) -> dict[str, tuple[Path, Path]]:
        """Return both files of each split.

        Raises:
            DataError: a file is missing, or several files match a split.
        """
        sides = [self.files_of(language) for language in (self.source, self.target)]
        files = {}
        for split in ("train", "val", "test"):
            first, second = (self.matching(split, side) for side in sides)
            if first and second:
                files[split] = (first, second)
            elif split != "test" or first or second or self.test:
                name = self.test or "test" if split == "test" else split
                languages = zip((self.source, self.target), (first, second), strict=True)
                lacking = [f"{name}.{language}" for language, file in languages if file is None]
                present = sorted(file.name for file in self.folder.iterdir())
                raise DataError(
                    f"data.path={self.path} lacks {' and '.join(lacking)}; it holds "
                    f"{', '.join(present[:12]) or 'nothing'}. Set the languages with data.source and "
                    "data.target."
                )
        return files

    def files_of(self, language: str) -> dict[str, list[Path]]:
        """Return name without suffix → the files of a language, plain files before ``.gz``."""
        files: dict[str, list[Path]] = {}
        for suffix in (f".{language}", f".{language}.gz"):
            for file in sorted(self.folder.glob(f"*{suffix}")):
                files.setdefault(file.name.removesuffix(suffix), []).append(file)
        return files

    def matching(self, split: str, files: dict[str, list[Path]]) -> Path | None:
        """Return the file of a split; None if there is none.

        Raises:
            DataError: several files match the split.
        """
        names = [name for name in files if self.split_of(name) == split]
        if len(names) > 1:
            matches = ", ".join(file.name for name in names for file in files[name])
            if split == "test":
                raise DataError(
                    f"data.path={self.path} holds several test files: {matches}. Choose one with "
                    "data.test=NAME."
                )
            raise DataError(
                f"data.path={self.path} holds {matches}, which stand for the same split ({split}). Keep one."
            )
        return files[names[0]][0] if names else None

    def split_of(self, name: str) -> str | None:
        """Return the split of a file name without suffix; None if it has none."""
        split = split_of_folder(name)
        if split in ("train", "val"):
            return split
        is_test = (
            fnmatch(name, self.test) if self.test else split == "test" or name.lower().startswith("test")
        )
        return "test" if is_test else None

    def read(self) -> Pairs:
        pairs: Pairs = {}
        for split, files in self.files().items():
            sources, targets = (read_text(file, self.encoding).rstrip("\n").split("\n") for file in files)
            if len(sources) != len(targets):
                raise DataError(
                    f"{files[0]} has {len(sources)} lines, {files[1]} {len(targets)}; they must be parallel."
                )
            numbered = list(enumerate(zip(sources, targets, strict=True), start=1))
            pairs[split] = [(s, t) for _, (s, t) in numbered if s.strip() and t.strip()]
            empty = [f"line {number}" for number, (s, t) in numbered if not (s.strip() and t.strip())]
            where = f"{files[0].name} and {files[1].name}"
            self.dropped.add("pairs", len(empty), "an empty side", len(numbered), where, empty)
            if not pairs[split]:
                raise DataError(f"{files[0]} and {files[1]} hold no pair with text on both sides.")
        return pairs

    def source_name(self) -> str:
        return str(self.folder.absolute())
