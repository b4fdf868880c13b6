"""Prompts for language models: texts or text files, and their token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.data.text.table import read_text
from runner.data.text.tokenizer import UNKNOWN
from runner.errors import UserError

__all__ = ["encode_prompt", "read_prompts"]


def encode_prompt(data: Any, text: str, source: str) -> list[int]:
    """Returns the token ids of a prompt.

    Args:
        data: data module of a language model.
        text: the prompt.
        source: name of the prompt in messages, such as ``--prompt``.

    Raises:
        UserError: the prompt contains unknown characters, or no known token.
    """
    ids = data.encode(text)
    if UNKNOWN in ids and getattr(data, "tokens", "") == "char":
        unknown = sorted({character for character in text if data.encode(character) == [UNKNOWN]})
        raise UserError(
            f"{source} contains {' '.join(map(repr, unknown))}, which is not in the training text. "
            "Leave it out."
        )
    if not [number for number in ids if number != UNKNOWN]:
        raise UserError(f"{source} {text!r} contains no word of the training text. Give another.")
    return ids


def read_prompts(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the name and the text of each prompt.

    Args:
        inputs: texts, or names of ``.txt`` files.

    Raises:
        DataError: a file does not exist.
    """
    for name in inputs:
        is_file = name.lower().endswith(".txt") and " " not in name
        yield name, read_text(Path(name)).rstrip("\n") if is_file else name
