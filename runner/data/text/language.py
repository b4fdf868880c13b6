"""Data modules of continuous texts for language models."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Unpack

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from runner.data.base import DataModule, LoaderOptions
from runner.data.download.file import data_folder, download, locked
from runner.data.facts import Facts
from runner.data.text.corpus import Corpus, tokenizer_of, utf8_file, write_char_counts, write_tokens
from runner.data.text.stream import StreamSplit
from runner.data.text.tokenizer import Kind, TextTokenizer, fitted_tokenizer, size_problems
from runner.errors import DataError

__all__ = [
    "AbcDataModule",
    "IrishAbcDataModule",
    "LanguageDataModule",
    "PythonTopicsDataModule",
    "TinyShakespeareDataModule",
]


class LanguageDataModule(DataModule):
    """A text file for predicting the next token.

    The text is split in order: train, then val, then test. Each part is read as ``batch_size`` parallel
    streams, one window per batch, so that a recurrent state is carried through the whole text (truncated
    back-propagation through time). Token ids are memory-mapped, so the text may be larger than memory.

    Args:
        path: the file.
        encoding: encoding of the file, such as ``cp1252`` or ``latin-1``; UTF-8, UTF-16 and UTF-32 are
            detected when None.
        tokens: the token type: characters, words, or byte pairs trained on the training part.
        vocab_size: maximum size of the vocabulary; 10 000 characters, 20 000 words or 4 000 byte pairs when
            None.
        min_count: tokens that occur less often in the training part are unknown.
        window: number of tokens of a window, the length of back-propagation.
        val_fraction, test_fraction: fractions of the text, at its end.
        data_dir: folder of token files and downloads; see ``runner.data.download.file.data_folder``.
        batch_size: number of parallel streams.

    Attributes:
        tokenizer: available after ``setup`` or ``load_state_dict``.
        notation: notation of the text if it can be converted to other formats: ``abc``.
    """

    splits: dict[str, StreamSplit]  # type: ignore[assignment]  # streams have no source of samples
    extra_facts = ("vocab_size", "num_features", "per_step", "tokens", "unknown_share")
    no_folds = "it is one continuous text, read in order"
    title: ClassVar[str] = ""
    notation: ClassVar[str | None] = None
    download_from: ClassVar[tuple[str, str, str, int] | None] = None
    """URL, file name, SHA-256 and size in bytes of the download if no path is given."""

    def __init__(
        self,
        path: str | None = None,
        *,
        tokens: Kind = "char",
        vocab_size: Annotated[int, Gt(4)] | None = None,
        min_count: Annotated[int, Ge(1)] = 1,
        window: Annotated[int, Ge(1), Le(100_000)] = 64,
        val_fraction: Annotated[float, Gt(0), Lt(0.5)] = 0.05,
        test_fraction: Annotated[float, Ge(0), Lt(0.5)] = 0.05,
        data_dir: str | None = None,
        encoding: str | None = None,
        batch_size: Annotated[int, Gt(0)] = 32,
        **options: Unpack[LoaderOptions],
    ) -> None:
        super().__init__(batch_size=batch_size, **options)
        self.path = str(Path(path).expanduser()) if path else None
        self.encoding = encoding
        self.tokens, self.vocab_size, self.min_count, self.window = tokens, vocab_size, min_count, window
        self.val_fraction, self.test_fraction = val_fraction, test_fraction
        self.data_dir = data_dir
        self.tokenizer: TextTokenizer | None = None

    @property
    def file(self) -> Path:
        """The text file: ``path``, the only text in the folder ``path``, or the downloaded file."""
        if self.path is None:
            if self.download_from is None:
                raise DataError("data.path is not set: name the text with data.path=FILE.")
            return data_folder(self.data_dir) / self.download_from[1]
        path = Path(self.path)
        inside = (
            [file for file in sorted(path.glob("*")) if file.suffix in (".txt", ".abc")]
            if path.is_dir()
            else []
        )
        return inside[0] if len(inside) == 1 else path

    @property
    def folder(self) -> Path:
        """The folder of token files."""
        return data_folder(self.data_dir) / "tokens"

    def check(self) -> list[str]:
        problems = size_problems(self.tokens, self.vocab_size)
        if self.path is None:
            missing = "data.path is not set: name the text with data.path=FILE."
            return problems if self.download_from else [*problems, missing]
        return problems + self.file_problems()

    def file_problems(self) -> list[str]:
        """Return problems of the text file."""
        if not self.file.is_file():
            reason = "does not hold exactly one text file" if self.file.exists() else "does not exist"
            return [f"data.path={self.file} {reason}; expected a text file."]
        size = self.file.stat().st_size
        if size >= 100:
            return []
        return [f"data.path={self.file} holds {size} bytes, which are too few for training."]

    def prepare_data(self) -> None:
        """Downloads the text if no path is given."""
        if self.path is None and self.download_from:
            address, name, sha256, size = self.download_from
            download(address, data_folder(self.data_dir) / name, sha256, size)

    def setup(self, stage: str | None = None) -> None:
        """Builds the vocabulary and writes the token files, unless they exist."""
        if self.splits or stage == "predict":
            return
        if problems := self.file_problems():
            raise DataError("\n".join(problems))
        corpus = Corpus.of(
            utf8_file(self.file, self.folder, self.encoding), self.val_fraction, self.test_fraction
        )
        if self.tokenizer is None:
            options = {"kind": self.tokens, "max_size": self.vocab_size, "min_count": self.min_count}
            self.tokenizer = tokenizer_of(corpus, self.folder, **options)
        parts = {part: self.stream(corpus, part) for part in ("train", "val", "test")}
        self.splits = {part: split for part, split in parts.items() if self.gives_batches(part, split)}
        for part in self.splits:
            self.report_tail(part, parts[part].num_tokens)
        self.facts = self.make_facts(corpus)

    def stream(self, corpus: Corpus, part: str) -> StreamSplit:
        """Write the token files of a part and return its split."""
        tokenizer = fitted_tokenizer(self.tokenizer)
        return StreamSplit(
            write_tokens(corpus, part, tokenizer, self.folder),
            self.window,
            np.array(tokenizer.num_chars()),
            write_char_counts(corpus, part, tokenizer, self.folder) if tokenizer.skips_blanks else None,
        )

    def gives_batches(self, part: str, split: StreamSplit) -> bool:
        """Return whether a part fills at least one batch of windows.

        Raises:
            DataError: the training or validation part is too short for a batch.
        """
        streams = self.batch_size if part == "train" else self.eval_batch_size
        is_whole = (
            not (part == "train" and self.drop_last) or (split.num_tokens - 1) // streams >= self.window
        )
        if split.num_tokens > max(streams, self.window) and is_whole:
            return True
        reason = f"too few for {streams} streams of windows of {self.window}"
        if part != "test":
            whole = " with data.drop_last=true" if part == "train" and self.drop_last else ""
            raise DataError(
                f"{self.file}: the {part} part has {split.num_tokens} tokens, {reason}{whole}. Lower "
                "data.window or data.batch_size, or give more text."
            )
        if self.test_fraction:
            advice = "so the test split is empty; raise data.test_fraction"
            self.dropped.add("test tokens", split.num_tokens, f"{reason}, {advice}", where=self.file)
        return False

    def report_tail(self, part: str, num_tokens: int) -> None:
        """Count the tokens at the end of a part that no window holds; the first token is only an input."""
        streams = self.batch_size if part == "train" else self.eval_batch_size
        length = (num_tokens - 1) // streams
        reason = f"they do not fill {streams} streams of one length"
        if part == "train" and self.drop_last:
            length -= length % self.window
            reason = (
                f"they do not fill {streams} streams of whole windows of {self.window} (data.drop_last=true)"
            )
        self.dropped.add("tokens", num_tokens - 1 - length * streams, reason, num_tokens, part)

    def make_facts(self, corpus: Corpus) -> Facts:
        """Return the facts of the text."""
        num_tokens = len(fitted_tokenizer(self.tokenizer))
        held_out = self.splits["val"].tokens
        return Facts(
            task="language",
            input_shape=(self.window,),
            num_outputs=num_tokens,
            **self.split_sizes(),
            name=self.title or self.file.stem,
            source=str(self.file.absolute()),
            digest=corpus.digest,
            extra={
                "vocab_size": num_tokens,
                "num_features": 0,
                "per_step": True,
                "tokens": {name: split.num_tokens for name, split in self.splits.items()},
                "unknown_share": float(np.mean(np.asarray(held_out[: 1 << 22]) == 1)),
            },
        )

    def read_inputs(self, paths: Sequence[str]) -> Iterable[tuple[str, Tensor]]:
        raise DataError("a language model continues a text: `runner predict RUN --prompt TEXT`.")

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        return fitted_tokenizer(self.tokenizer).encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return fitted_tokenizer(self.tokenizer).decode(ids)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.tokenizer is None else {"tokenizer": self.tokenizer.to_json()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the vocabulary, so that ``setup`` does not compute it.

        Raises:
            DataError: ``setup`` already computed a different one: the text has changed.
        """
        self.reject_change(state_dict, str(self.file), "its vocabulary differs")
        self.tokenizer = TextTokenizer.from_json(state_dict["tokenizer"])


class TinyShakespeareDataModule(LanguageDataModule):
    """A million characters of Shakespeare's plays, from Karpathy's char-rnn."""

    title = "tiny_shakespeare"
    download_from = (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "tiny_shakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1115394,
    )


class AbcDataModule(LanguageDataModule):
    """A file of tunes in ABC notation (https://abcnotation.com/wiki/abc:standard).

    Each tune begins with a line ``X:`` and ends with an empty line.
    """

    notation = "abc"


class IrishAbcDataModule(AbcDataModule):
    """804 Irish folk tunes, from MIT's course 6.S191."""

    title = "irish_abc"
    download_from = (
        "https://raw.githubusercontent.com/aamini/introtodeeplearning/master/mitdeeplearning/data/irish.abc",
        "irish.abc",
        "df3782d5f7b5a2f4c66aa7c13f13008d5f48757b3f5f51620cd6c1ceb2c53023",
        197618,
    )


class PythonTopicsDataModule(LanguageDataModule):
    """The texts of Python's ``help("topics")``, which differ slightly between Python versions."""

    title = "python_topics"

    @property
    def file(self) -> Path:
        return data_folder(self.data_dir) / f"python_topics_{platform.python_version()}.txt"

    def check(self) -> list[str]:
        problems = size_problems(self.tokens, self.vocab_size)
        if self.path is not None:
            problems.append(
                "data.path would have no effect: this text is part of Python. Use data=text_file for yours."
            )
        return problems

    def prepare_data(self) -> None:
        from pydoc_data.topics import topics

        self.file.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.file):
            if not self.file.is_file():
                new = self.file.with_suffix(".new")
                new.write_text(
                    "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n", encoding="utf-8"
                )
                new.replace(self.file)
