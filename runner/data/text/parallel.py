"""Parallel texts in a folder: a file a language and a split, a sentence a line."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Unpack

from runner.data.class_folders import split_of_folder
from runner.data.text.pairs import Pairs, PairsDataModule, PairsOptions
from runner.data.text.table import read_text
from runner.errors import DataError

__all__ = ["ParallelTextDataModule"]


class ParallelTextDataModule(PairsDataModule):
    """``train.en``, ``train.de``, ``val.en`` …, plain or ``.gz``; a test split where there are files for it.
    The names of the splits are those of ``runner.data.class_folders``: ``valid.en`` and ``dev.en`` are
    validation too.

    Args:
        path: the folder.
        source, target: the files' suffixes: languages.
        test: what the files to test on are called before the suffix, where several begin with ``test``.
        encoding: of the files, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are detected when
            None.
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
        self.path = path and str(Path(path).expanduser())
        self.source, self.target, self.test = source, target, test
        self.encoding = encoding

    @property
    def title(self) -> str:
        return f"{Path(self.path).absolute().name} {self.source}-{self.target}"

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
        """Both files of each split.

        Raises:
            DataError: one is missing, or it is not clear which is meant.
        """
        sides = [self.files_of(language) for language in (self.source, self.target)]
        found = {}
        for split in ("train", "val", "test"):
            first, second = (self.matching(split, side) for side in sides)
            if first and second:
                found[split] = (first, second)
            elif split != "test" or first or second or self.test:
                name = self.test or "test" if split == "test" else split
                languages = zip((self.source, self.target), (first, second), strict=True)
                lacking = [f"{name}.{language}" for language, file in languages if file is None]
                present = sorted(file.name for file in Path(self.path).iterdir())
                raise DataError(
                    f"data.path={self.path} lacks {' and '.join(lacking)}; it holds "
                    f"{', '.join(present[:12]) or 'nothing'}. "
                    "data.source and data.target name the languages."
                )
        return found

    def files_of(self, language: str) -> dict[str, list[Path]]:
        """The files of a language, by the name before the suffix; the plain one before the ``.gz``."""
        files: dict[str, list[Path]] = {}
        for suffix in (f".{language}", f".{language}.gz"):
            for file in sorted(Path(self.path).glob(f"*{suffix}")):
                files.setdefault(file.name.removesuffix(suffix), []).append(file)
        return files

    def matching(self, split: str, files: dict[str, list[Path]]) -> Path | None:
        """The file of a split.

        Raises:
            DataError: several files could be meant.
        """
        names = [name for name in files if self.split_of(name) == split]
        if len(names) > 1:
            found = ", ".join(file.name for name in names for file in files[name])
            if split == "test":
                raise DataError(
                    f"data.path={self.path} holds {found}: which is to be tested on? Say so with "
                    "data.test=NAME."
                )
            raise DataError(
                f"data.path={self.path} holds {found}, which stand for the same split ({split}). Keep one."
            )
        return files[names[0]][0] if names else None

    def split_of(self, name: str) -> str | None:
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
        return str(Path(self.path).absolute())
