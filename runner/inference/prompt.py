"""Texts that a language model is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.data.text.table import read_text
from runner.data.text.tokenizer import UNKNOWN
from runner.errors import UserError

__all__ = ["encode_prompt", "prompts_of"]


def encode_prompt(data: Any, text: str, called: str) -> list[int]:
    """Token ids of a text.

    Args:
        data: of a language model's run.
        called: how messages call the text: ``--prompt``.

    Raises:
        UserError: the model never saw anything of it.
    """
    ids = data.encode(text)
    if UNKNOWN in ids and getattr(data, "tokens", "") == "char":
        unknown = sorted({sign for sign in text if data.encode(sign) == [UNKNOWN]})
        raise UserError(
            f"{called} holds {' '.join(map(repr, unknown))}, which the training text never did. Leave it out."
        )
    if not [number for number in ids if number != UNKNOWN]:
        raise UserError(f"{called} {text!r} holds no word of the training text. Give another.")
    return ids


def prompts_of(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """``(name, text)`` of each input: a text, or the name of a ``.txt`` file that holds it.

    Raises:
        DataError: the file does not exist.
    """
    for given in inputs:
        if given.lower().endswith(".txt") and " " not in given:
            yield given, read_text(Path(given)).rstrip("\n")
        else:
            yield given, given
