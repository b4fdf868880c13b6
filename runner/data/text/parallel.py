"""Parallel texts in a folder: a file a language and a split, a sentence a line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Gt

from runner.data.text.pairs import Pairs, PairsDataModule
from runner.data.text.table import read_text
from runner.data.text.tokenizer import Kind
from runner.errors import DataError

__all__ = ["ParallelTextDataModule"]


class ParallelTextDataModule(PairsDataModule):
    """``train.en``, ``train.de``, ``val.en`` …, plain or ``.gz``; a test split where there are files for it.

    Args:
        path: the folder.
        source, target: the files' suffixes: languages.
        test: what the files to test on are called before the suffix, where several begin with ``test``.
    """

    def __init__(
        self,
        path: str | None = None,
        source: str = "en",
        target: str = "de",
        test: str | None = None,
        tokens: Kind = "bpe",
        vocab_size: Annotated[int, Gt(4)] | None = None,
        min_count: Annotated[int, Ge(1)] = 1,
        lowercase: bool = False,
        max_length: Annotated[int, Ge(2)] = 100,
        batch_size: Annotated[int, Gt(0)] = 64,
        eval_batch_size: Annotated[int, Gt(0)] | None = None,
        num_workers: Annotated[int, Ge(0)] = 0,
        seed: Annotated[int, Ge(0)] = 0,
        drop_last: bool = False,
    ):
        super().__init__(
            tokens, vocab_size, min_count, lowercase, max_length, batch_size, eval_batch_size, num_workers, seed,
            drop_last,
        )  # fmt: skip
        self.path = path and str(Path(path).expanduser())
        self.source, self.target, self.test = source, target, test

    @property
    def title(self) -> str:
        return f"{Path(self.path).absolute().name} {self.source}-{self.target}"

    def check(self) -> list[str]:
        if not self.path:
            return [*super().check(), "data.path is not set: name the folder with data.path=FOLDER."]
        if not Path(self.path).is_dir():
            return [*super().check(), f"data.path={self.path}: there is no such folder."]
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
        found = {}
        for split, name in (("train", "train"), ("val", "val"), ("test", self.test or "test*")):
            sides = [self.matching(name, language) for language in (self.source, self.target)]
            if all(sides):
                found[split] = (sides[0], sides[1])
            elif split != "test" or any(sides) or self.test:
                lacking = [f"{name}.{tongue}" for tongue, side in zip((self.source, self.target), sides, strict=True) if not side]
                there = sorted(file.name for file in Path(self.path).iterdir())
                raise DataError(
                    f"data.path={self.path} lacks {' and '.join(lacking)}; it holds {', '.join(there[:12]) or 'nothing'}. "
                    "data.source and data.target name the languages."
                )
        return found

    def matching(self, name: str, language: str) -> Path | None:
        found = [file for suffix in ("", ".gz") for file in sorted(Path(self.path).glob(f"{name}.{language}{suffix}"))]
        if len({file.name.removesuffix(".gz") for file in found}) > 1:
            names = ", ".join(file.name for file in found)
            raise DataError(f"data.path={self.path} holds {names}: which is to be tested on? Say so with data.test=NAME.")
        return found[0] if found else None

    def read(self) -> Pairs:
        pairs: Pairs = {}
        for split, files in self.files().items():
            sources, targets = (read_text(file).rstrip("\n").split("\n") for file in files)
            if len(sources) != len(targets):
                raise DataError(f"{files[0]} has {len(sources)} lines, {files[1]} {len(targets)}; they must be parallel.")
            pairs[split] = [(s, t) for s, t in zip(sources, targets, strict=True) if s.strip() and t.strip()]
        return pairs

    def source_name(self) -> str:
        return str(Path(self.path).absolute())
