"""Encodings of text files: detection, ``data.encoding``, and messages for bytes that do not fit."""

from __future__ import annotations

import codecs
from pathlib import Path

from runner.errors import DataError

__all__ = ["decoding_error", "find_encoding"]

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8",
}
WITH_MARK = {"utf-8": "utf-8-sig"}
"""Codecs that skip the byte order mark, where the plain one does not."""


def find_encoding(head: bytes, path: str | Path, encoding: str | None = None, expected: str = "text") -> str:
    """Returns the codec of a text file.

    Args:
        head: the first bytes of the file.
        path: the file, for messages.
        encoding: the encoding if it is known (``data.encoding``). When None it is detected by the byte order
            mark or the zero bytes of UTF-16 without one; otherwise it is UTF-8.
        expected: what the file should hold, for the message about binary data.

    Raises:
        DataError: unknown encoding, a byte order mark of another encoding, or binary data.
    """
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
    if encoding is not None:
        return stated_encoding(encoding, marked, path)
    if marked is not None:
        return WITH_MARK.get(marked, marked)
    if b"\0" not in head:
        return "utf-8-sig"
    half = len(head) // 2
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if half > 1 and min(even, odd) == 0 and max(even, odd) > half / 2:
        return "utf-16-le" if odd else "utf-16-be"
    raise DataError(f"{path} holds binary data; expected {expected}.")


def stated_encoding(encoding: str, marked: str | None, path: str | Path) -> str:
    """Returns the codec of ``data.encoding`` for a file whose byte order mark is that of ``marked``."""
    try:
        b"text".decode(encoding, "replace")
        name = codecs.lookup(encoding).name
    except LookupError:
        raise DataError(
            f"data.encoding={encoding} is not a text encoding of Python, such as utf-8, utf-16, cp1252 or "
            "latin-1."
        ) from None
    if marked is None:
        return "utf-8-sig" if name == "utf-8" else name
    if not name.startswith(marked):
        raise DataError(
            f"{path} begins with the byte order mark of {marked.upper()}, which contradicts "
            f"data.encoding={encoding}. Remove data.encoding."
        )
    return WITH_MARK.get(marked, marked)


def decoding_error(
    path: str | Path, encoding: str, error: UnicodeDecodeError, position: str | None = None
) -> DataError:
    """Returns the error for bytes that are not text in an encoding.

    Args:
        path: the file.
        encoding: the encoding.
        error: the error of the decoder.
        position: where the first such byte is; by default the position in the decoded bytes.
    """
    fault = f"({error.reason} {position or f'at byte {error.start}'})"
    if not encoding.startswith("utf"):
        return DataError(f"{path} is not {encoding} text {fault}. Correct data.encoding.")
    name = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
    return DataError(
        f"{path} is not {name} text {fault}. Give its encoding with data.encoding=NAME (cp1252 for files of "
        "Windows programs, latin-1 for older ones), or save it as UTF-8."
    )
