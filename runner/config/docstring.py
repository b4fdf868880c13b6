"""Extracts the documentation of parameters from docstrings in Google, NumPy or Sphinx style."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["parameter_docs"]

SECTION = re.compile(r"(Args|Arguments|Parameters|Keyword Args|Keyword Arguments):?\s*$")
ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:,\s*\*{0,2}\w+)*)\s*(?:\([^)]*\))?\s*:(?:\s+(?P<text>.*)|$)")
NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
FIELD = re.compile(r"^:param\s+(?:[^:]*\s)?(?P<names>\w+):\s*(?P<text>.*)$")


def parameter_docs(constructor: Callable[..., Any]) -> dict[str, str]:
    """Return parameter → its documentation as one line; a subclass's docstring takes precedence over those of its bases."""
    kinds = inspect.getmro(constructor) if inspect.isclass(constructor) else (constructor,)
    docs: dict[str, str] = {}
    for kind in kinds:
        for source in (kind.__doc__, getattr(vars(kind).get("__init__"), "__doc__", None)):
            for name, text in entries(inspect.cleandoc(source or "")):
                docs.setdefault(name, text)
    return docs


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield ``(parameter, text)`` for each entry of a cleaned docstring."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        field = FIELD.match(line)
        if field:
            yield field["names"], field["text"].strip()
        if SECTION.match(line):
            below = lines[number + 1 :]
            numpy = bool(below) and re.fullmatch(r"-{3,}", below[0].strip()) is not None
            yield from section(below[1:] if numpy else below, NUMPY_ENTRY if numpy else ENTRY, numpy)


def section(lines: list[str], pattern: re.Pattern[str], numpy: bool) -> Iterator[tuple[str, str]]:
    """Yield the entries of one section, which ends where the indentation does."""
    names: list[str] = []
    words: list[str] = []
    margin = None
    for line, below in zip([*lines, "end"], [*lines[1:], "", ""], strict=True):
        indent = len(line) - len(line.lstrip())
        if line.strip() and margin is None:
            margin = indent
        if not line.strip() or indent > (margin or 0):
            words.append(line.strip())
            continue
        match = pattern.match(line.strip())
        yield from ((name, " ".join(filter(None, words))) for name in names)
        ends = re.fullmatch(r"-{3,}", below.strip()) if numpy else indent == 0
        if not match or ends or indent < (margin or 0):
            return
        names = [name.strip().lstrip("*") for name in match["names"].split(",")]
        words = [] if numpy else [match["text"] or ""]
