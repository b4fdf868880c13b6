"""Text in the cells of terminal tables, which is wrapped between words and parts of names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.style import StyleType
from rich.text import Text

__all__ = ["Words", "break_lines", "escaped"]

PART = re.compile(r"[^_./,=:-]*[_./,=:-]+|[^_./,=:-]+")
"""A part of a name, with the separators after it: ``optimizer.``, ``weight_``, ``decay``."""


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that control a terminal or the direction of text, and halves of characters."""


def escaped(text: str) -> str:
    """Return the text with control characters, except tab and newline, as visible escapes."""
    return CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


class Words:
    """Text that is wrapped between words, and in long words after separators such as ``_`` and ``.``.

    Rich wraps at spaces only and breaks longer words anywhere.

    Args:
        text: the text, without markup.
        style: its style.
    """

    def __init__(self, text: str, style: StyleType = "") -> None:
        self.text = escaped(text)
        self.style = style

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max((len(part) for word in self.text.split() for part in PART.findall(word)), default=0)
        widest = max(map(len, self.text.splitlines()), default=0)
        return Measurement(min(longest, options.max_width), min(widest, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [part for line in self.text.splitlines() for part in break_lines(line, options.max_width)]
        yield Text("\n".join(lines), style=self.style, overflow="fold")


def break_lines(text: str, width: int) -> list[str]:
    """Return the lines of a text; a part of a word is only broken if it alone exceeds the width."""
    if len(text) <= width:
        return [text]
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= width:
            lines[-1] = joined
        elif len(word) <= width:
            lines.append(word)
        else:
            lines += list(_break_word(word, width))
    return [line for line in lines if line]


def _break_word(word: str, width: int) -> Iterator[str]:
    line = ""
    for part in PART.findall(word):
        if len(line + part) <= width:
            line += part
            continue
        if line:
            yield line
        starts = range(0, max(len(part), 1), width)
        *whole, line = [part[start : start + width] for start in starts]
        yield from whole
    if line:
        yield line
