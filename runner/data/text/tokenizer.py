"""Tokenizers: characters, words, or byte-pair encoding trained on the training texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from runner.errors import DataError

__all__ = [
    "BEGIN",
    "END",
    "PAD",
    "SPECIAL",
    "UNKNOWN",
    "Kind",
    "TextTokenizer",
    "fitted_tokenizer",
    "size_problems",
]

PAD, UNKNOWN, BEGIN, END = range(4)
SPECIAL = ("<pad>", "<unknown>", "<begin>", "<end>")
"""Tokens of every vocabulary, by id."""

Kind = Literal["char", "word", "bpe"]

NUM_BYTES = 256
CONTINUED = frozenset(
    chr(byte) if byte >= 0xA1 and byte != 0xAD else chr(256 + 33 + byte - 0x7F if byte != 0xAD else 323)
    for byte in range(0x80, 0xC0)
)
"""Characters for the bytes of byte-pair tokens: printable bytes as themselves, the others from U+0100 on."""
DEFAULT_SIZE = {"char": 10_000, "word": 20_000, "bpe": 4_000}
SMALLEST = {"char": len(SPECIAL) + 1, "word": len(SPECIAL) + 1, "bpe": len(SPECIAL) + NUM_BYTES}


class TextTokenizer:
    """A vocabulary and the rules by which text is divided into tokens.

    Words are letters, digits and underscores, or runs of other characters; decoded text has blanks between
    them. Characters and byte pairs restore the text exactly. Byte pairs have no unknown tokens.

    Args:
        tokenizer: the underlying tokenizer; use ``fit`` to create it.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokenizer.encode_special_tokens = True  # "<pad>" in a text is text

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        kind: Kind,
        max_size: int | None = None,
        min_count: int = 1,
        lowercase: bool = False,
    ) -> TextTokenizer:
        """Build a vocabulary.

        Args:
            texts: texts, read once and in order.
            kind: the token type.
            max_size: maximum size of the vocabulary, including special tokens; the most frequent tokens are
                kept.
            min_count: tokens (or pairs) that occur less often are left out.
            lowercase: convert texts to lower case.

        Raises:
            DataError: no token is frequent enough.
        """
        max_size = max_size or DEFAULT_SIZE[kind]
        lower = normalizers.Lowercase() if lowercase else None
        if kind == "bpe":
            return cls(fit_bpe(texts, max_size, min_count, lower))
        cut = (
            pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
            if kind == "char"
            else pre_tokenizers.Whitespace()
        )
        return cls(from_counts(count(texts, cut, lower), kind, max_size, min_count, cut, lower))

    @classmethod
    def of_words(
        cls, sequences: Iterable[Sequence[str]], max_size: int | None, min_count: int
    ) -> TextTokenizer:
        """Build a vocabulary from text that is already tokenized."""
        counts = Counter(word for words in sequences for word in words)
        size = max_size or DEFAULT_SIZE["word"]
        return cls(from_counts(counts, "word", size, min_count, pre_tokenizers.WhitespaceSplit(), None))

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        return self._tokenizer.encode(text).ids

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def encode_array(self, text: str) -> np.ndarray:
        """Return the token ids of a long text; characters are looked up at once, which is 50 times faster."""
        if self._by_character is None:
            return np.asarray(self.encode(text), dtype=np.uint32)
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        return self._by_character[np.minimum(codes, len(self._by_character) - 1)]

    @cached_property
    def _by_character(self) -> np.ndarray | None:
        """Ids by code point, the last one for all code points beyond; None if tokens are not characters."""
        cut, lower = self._tokenizer.pre_tokenizer, self._tokenizer.normalizer
        if not isinstance(cut, pre_tokenizers.Split) or lower is not None:
            return None
        codes = {
            ord(token): number
            for token, number in self._tokenizer.get_vocab().items()
            if token not in SPECIAL
        }
        table = np.full(max(codes) + 2, UNKNOWN, dtype=np.uint32)
        table[list(codes)] = list(codes.values())
        return table

    def encode_words(self, words: Sequence[str]) -> list[int]:
        """Return the ids of text that is already tokenized, one per token."""
        ids = (self._tokenizer.token_to_id(word) for word in words)
        return [UNKNOWN if number is None or number < len(SPECIAL) else number for number in ids]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; of the special tokens, only ``<unknown>`` is included."""
        kept = [number for number in ids if number not in (PAD, BEGIN, END)]
        return self._tokenizer.decode(kept, skip_special_tokens=False)

    def token(self, number: int) -> str:
        """Return one token in readable form."""
        return self._tokenizer.decode([number], skip_special_tokens=False)

    @property
    def skips_blanks(self) -> bool:
        """Whether tokens contain no white space, as with words.

        The number of characters of a token then depends on the text around it.
        """
        return isinstance(
            self._tokenizer.pre_tokenizer, pre_tokenizers.Whitespace | pre_tokenizers.WhitespaceSplit
        )

    def encode_spans(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the token ids of a text, and the first character of each token, both ``(T,)``."""
        encoding = self._tokenizer.encode(text)
        starts = np.fromiter(
            (start for start, _ in encoding.offsets), dtype=np.int64, count=len(encoding.ids)
        )
        return np.asarray(encoding.ids, dtype=np.uint32), starts

    def num_chars(self) -> list[int]:
        """Return the number of characters of each token of the vocabulary; words include the following blank.

        For words this is an estimate; ``encode_spans`` returns the actual lengths in a text.
        """
        words = [self._tokenizer.id_to_token(number) or "" for number in range(len(self))]
        if isinstance(self._tokenizer.model, models.BPE):
            counts = [sum(sign not in CONTINUED for sign in word) for word in words]
        else:
            by_char = not self.skips_blanks
            counts = [len(word) + (not by_char and (word[0].isalnum() or word[0] == "_")) for word in words]
        return [0, 1, 0, 0, *counts[len(SPECIAL) :]]

    def to_json(self) -> str:
        """Return the tokenizer as JSON."""
        return self._tokenizer.to_str()

    @classmethod
    def from_json(cls, text: str) -> TextTokenizer:
        """Return the tokenizer of ``to_json``."""
        return cls(Tokenizer.from_str(text))


def count(texts: Iterable[str], cut: Any, lower: normalizers.Normalizer | None) -> Counter[str]:
    by_char = isinstance(cut, pre_tokenizers.Split)
    counts: Counter[str] = Counter()
    for text in texts:
        normalized = lower.normalize_str(text) if lower else text
        counts.update(normalized if by_char else (token for token, _ in cut.pre_tokenize_str(normalized)))
    return counts


def from_counts(counts: Counter, kind: str, max_size: int, min_count: int, cut: Any, lower: Any) -> Tokenizer:
    kept = sorted(
        (token for token, number in counts.items() if number >= min_count), key=lambda t: (-counts[t], t)
    )
    kept = [token for token in kept if token not in SPECIAL][: max_size - len(SPECIAL)]
    if not kept:
        raise DataError(
            f"none of the {len(counts)} different tokens of the training texts occurs {min_count} times or "
            "more. Lower data.min_count, or give more text."
        )
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *kept])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[UNKNOWN]))
    tokenizer.pre_tokenizer = cut
    if lower:
        tokenizer.normalizer = lower
    if kind == "char":
        tokenizer.decoder = decoders.Fuse()
    return tokenizer


def fit_bpe(texts: Iterable[str], max_size: int, min_count: int, lower: Any) -> Tokenizer:
    """Train a byte-pair encoding over bytes (Sennrich et al., arXiv:1508.07909; Radford et al., 2019)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if lower:
        tokenizer.normalizer = lower
    trainer = trainers.BpeTrainer(
        vocab_size=max_size,
        min_frequency=min_count,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def size_problems(kind: Kind, vocab_size: int | None) -> list[str]:
    """Return problems with the size of a vocabulary."""
    if vocab_size is None or vocab_size >= SMALLEST[kind]:
        return []
    required = f" and {NUM_BYTES} bytes" if kind == "bpe" else ""
    return [
        f"data.vocab_size={vocab_size} is too small: it includes {len(SPECIAL)} special tokens{required}. "
        f"Give at least {SMALLEST[kind]}."
    ]


def fitted_tokenizer(tokenizer: TextTokenizer | None) -> TextTokenizer:
    """Return the tokenizer of a data module after ``setup`` or ``load_state_dict``.

    Raises:
        RuntimeError: neither was called.
    """
    if tokenizer is None:
        raise RuntimeError("The data module has no vocabulary before setup() or load_state_dict().")
    return tokenizer
