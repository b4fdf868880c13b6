"""Continuous texts as memory-mapped token ids, which may be larger than memory.

The text is split into train, val and test in order, at paragraph ends. The vocabulary is built from the
training part. Files are named after a hash of their inputs, so that they are created only once.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch.utils.data import Dataset

from runner.data.download.file import locked
from runner.data.encoding import decoding_error, find_encoding
from runner.data.facts import digest_files
from runner.data.text.table import read_text
from runner.data.text.tokenizer import TextTokenizer
from runner.errors import DataError

__all__ = [
    "Corpus",
    "TokenFileDataset",
    "part_bounds",
    "pieces",
    "tokenizer_of",
    "utf8_file",
    "write_char_counts",
    "write_tokens",
]


class TokenFileDataset(Dataset):
    """A memory-mapped file of token ids.

    Args:
        file: binary file of uint16 or uint32, the name of which is its suffix.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.kind = np.dtype(file.suffix[1:])
        self.num_tokens = file.stat().st_size // self.kind.itemsize
        self._tokens: np.ndarray | None = None

    @property
    def tokens(self) -> np.ndarray:
        """The token ids of the whole text."""
        if self._tokens is None:
            self._tokens = np.memmap(self.file, dtype=self.kind, mode="r")
        return self._tokens

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_tokens": None}  # each worker of a loader maps the file itself


PIECE_BYTES = 1 << 16
SEARCH_BYTES = 1 << 16
LONGEST_LINE = 1 << 18
"""Maximum number of characters of a line; longer ones are cut anywhere."""


@dataclass(frozen=True)
class Corpus:
    """A text file and its parts.

    Attributes:
        path: the file, in UTF-8.
        bounds: first byte of each part, and the end: four numbers.
        digest: fingerprint of the file's bytes.
    """

    path: Path
    bounds: tuple[int, int, int, int]
    digest: str

    @classmethod
    def of(cls, path: Path, val_fraction: float, test_fraction: float) -> Corpus:
        """Return the corpus of a file whose last fractions are the validation and test parts."""
        return cls(path, part_bounds(path, val_fraction, test_fraction), digest_files(path))

    def pieces(self, part: str) -> Iterator[str]:
        """Yield the text of ``train``, ``val`` or ``test``, some lines at a time."""
        number = ("train", "val", "test").index(part)
        return pieces(self.path, self.bounds[number], self.bounds[number + 1])


def part_bounds(path: Path, val_fraction: float, test_fraction: float) -> tuple[int, int, int, int]:
    """Return the first byte of each part, and the end of the file.

    A part begins at the end of a paragraph, or else of a line, after its share of the bytes.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        val = next_paragraph(file, int(size * (1 - val_fraction - test_fraction)), size)
        test = next_paragraph(file, int(size * (1 - test_fraction)), size) if test_fraction else size
    return 0, val, max(val, test), size


def next_paragraph(file: BinaryIO, offset: int, size: int) -> int:
    file.seek(offset)
    ahead = file.read(SEARCH_BYTES)
    for mark in (b"\n\n", b"\r\n\r\n", b"\n"):
        if mark in ahead:
            return offset + ahead.index(mark) + len(mark)
    while offset < size and ahead[:1] and 0x80 <= ahead[0] < 0xC0:  # within a character of several bytes
        offset, ahead = offset + 1, ahead[1:]
    return offset


def pieces(path: Path, begin: int, end: int) -> Iterator[str]:
    """Yield the text between two bytes, some lines at a time.

    Raises:
        DataError: the file is not UTF-8.
    """
    decoder, tail = codecs.getincrementaldecoder("utf-8")(), ""
    with open(path, "rb") as file:
        file.seek(begin)
        while begin < end:
            data = file.read(min(PIECE_BYTES, end - begin))
            begin += len(data)
            if not data:
                break
            try:
                text = tail + decoder.decode(data, final=begin == end)
            except UnicodeDecodeError as error:
                offset = f"near byte {begin - len(data) + error.start}"
                raise decoding_error(path, "utf-8", error, offset) from error
            text = text.replace("\r\n", "\n")
            cut = text.rfind("\n") + 1 or (len(text) if len(text) > LONGEST_LINE else 0)
            if begin == end:
                cut = len(text)
            text, tail = text[:cut], text[cut:]
            if text:
                yield text


def utf8_file(path: Path, folder: Path, encoding: str | None = None) -> Path:
    """Return a file in UTF-8 without a byte order mark.

    This is the file itself or a copy in ``folder``, which is created once.

    Raises:
        DataError: the file is not text in this encoding.
    """
    with open(path, "rb") as file:
        head = file.read(PIECE_BYTES)
    encoding = find_encoding(head, path, encoding)
    if encoding == "utf-8-sig" and not head.startswith(codecs.BOM_UTF8):
        return path
    name = key_of(digest_files(path), "utf-8", encoding)
    copy = folder / f"{name}.txt"
    with locked_folder(folder, name):
        if not copy.is_file():
            write_whole(copy, read_text(path, encoding).encode())
    return copy


def tokenizer_of(corpus: Corpus, folder: Path, **options: Any) -> TextTokenizer:
    """Return the tokenizer fitted to the training part, which is created once.

    Args:
        corpus: the text.
        folder: folder of the vocabulary's file.
        **options: see ``TextTokenizer.fit``.
    """
    name = key_of(corpus.digest, corpus.bounds, sorted(options.items()))
    file = folder / f"{name}.vocabulary.json"
    with locked_folder(folder, name):
        if file.is_file():
            return TextTokenizer.from_json(file.read_text(encoding="utf-8"))
        tokenizer = TextTokenizer.fit(corpus.pieces("train"), **options)
        write_whole(file, tokenizer.to_json().encode())
        return tokenizer


def write_tokens(corpus: Corpus, part: str, tokenizer: TextTokenizer, folder: Path) -> Path:
    """Write the token ids of a part to one file of 16- or 32-bit numbers, once."""
    kind = "uint16" if len(tokenizer) <= 1 << 16 else "uint32"
    ids = (tokenizer.encode_array(text) for text in corpus.pieces(part))
    return write_numbers(ids, kind, f"{token_name(corpus, tokenizer)}.{part}", folder)


def write_char_counts(corpus: Corpus, part: str, tokenizer: TextTokenizer, folder: Path) -> Path:
    """Write the number of characters of the original text per token to one file of 32-bit numbers, once.

    The white space after a token is included: the sum of all counts is the length of the text without leading
    white space.
    """
    counts = char_counts(corpus.pieces(part), tokenizer)
    return write_numbers(counts, "uint32", f"{token_name(corpus, tokenizer)}.{part}.chars", folder)


def char_counts(texts: Iterable[str], tokenizer: TextTokenizer) -> Iterator[np.ndarray]:
    """Yield the numbers of characters; see ``write_char_counts``.

    The count of a piece's last token is known at the first token of the next piece.
    """
    pending = 0
    is_begun = False
    for text in texts:
        _, starts = tokenizer.encode_spans(text)
        if not len(starts):
            pending += len(text) if is_begun else 0
            continue
        if is_begun:
            yield np.array([pending + starts[0]])
        is_begun = True
        yield np.diff(starts)
        pending = len(text) - starts[-1]
    if is_begun:
        yield np.array([pending])


def token_name(corpus: Corpus, tokenizer: TextTokenizer) -> str:
    return key_of(corpus.digest, corpus.bounds, tokenizer.to_json())


def write_numbers(numbers: Iterable[np.ndarray], kind: str, name: str, folder: Path) -> Path:
    file = folder / f"{name}.{kind}"
    with locked_folder(folder, name):
        if not file.is_file():
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as new:
                try:
                    for piece in numbers:
                        new.write(piece.astype(kind).tobytes())
                    new.flush()
                    os.fsync(new.fileno())
                    os.replace(new.name, file)
                finally:
                    Path(new.name).unlink(missing_ok=True)
    return file


def key_of(*parts: object) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=10).hexdigest()


def locked_folder(folder: Path, name: str) -> AbstractContextManager[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be created: {error.strerror}. Choose another folder with data.data_dir."
        ) from error
    return locked(folder / name)


def write_whole(file: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as new:
        new.write(data)
    os.replace(new.name, file)
