"""Resumable HTTP download of one URL to a partial file."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from runner.data.download.progress import progress

if TYPE_CHECKING:
    import requests

__all__ = ["FetchError", "fetch"]

CHUNK = 1 << 16  # the most that a lost connection discards
CONNECT_TIMEOUT_S = 15
READ_TIMEOUT_S = 60
PAUSES_S = (1.0, 2.0, 4.0, 8.0)
RETRIED_STATUS = (408, 425, 429, 500, 502, 503, 504)


class FetchError(Exception):
    """The download failed; the message is the reason, a clause without a full stop."""


def fetch(url: str, part: Path, size: int | None = None) -> None:
    """Downloads ``url`` to ``part``, resuming an existing partial file if the server supports range requests.

    A lost connection is retried after 1, 2, 4 and 8 s. The count of attempts is reset whenever the file
    becomes longer than ever before, so that a server without range support that always disconnects does not
    cause an endless loop.

    Args:
        url: location of the file.
        part: path of the partial file.
        size: expected size in bytes, if known: a wrong file is then rejected before it is downloaded.

    Raises:
        FetchError: no network, an HTTP error, or a file of another size.
    """
    import requests

    furthest, pauses = size_of(part), list(PAUSES_S)
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"  # a compressed body has other ranges and another size
        while True:
            try:
                return _request_rest(session, url, part, size)
            except requests.RequestException as error:
                if _is_final(error):
                    raise FetchError(_reason(error)) from error
                if size_of(part) > furthest:
                    furthest, pauses = size_of(part), list(PAUSES_S)
                if not pauses:
                    raise FetchError(f"{_reason(error)}, after {len(PAUSES_S) + 1} attempts") from error
            time.sleep(pauses.pop(0))


def size_of(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _request_rest(session: requests.Session, url: str, part: Path, size: int | None) -> None:
    """Sends one request for the missing rest of the partial file."""
    import requests

    have = size_of(part)
    if size is not None and have == size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    with session.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code == 416:  # the partial file is not a prefix of the file
            part.unlink()
            raise requests.ConnectionError("the server has no such range")
        response.raise_for_status()
        start = have if response.status_code == 206 and _range_start(response) == have else 0
        total = _total(response, start)
        if size is not None and total is not None and total != size:
            raise FetchError(f"the server offers {total} bytes, expected {size}: it is another file")
        with open(part, "ab" if start else "wb") as file:
            done = _write_body(response, file, f"Downloading {part.stem}", start, total)
    if total is not None and done != total:
        raise requests.ConnectionError(f"the connection ended after {done} of {total} bytes")


def _write_body(
    response: requests.Response, file: BinaryIO, label: str, start: int, total: int | None
) -> int:
    done = start
    with progress(label, total, done=start) as show:
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            done += len(chunk)
            show(done)
    return done


def _range_start(response: requests.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _total(response: requests.Response, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdigit() else None


def _is_final(error: requests.RequestException) -> bool:
    """Returns whether retrying is useless: the server rejected the request, or the URL is malformed."""
    if error.response is not None:
        return error.response.status_code not in RETRIED_STATUS
    return isinstance(error, ValueError)  # InvalidURL, MissingSchema, InvalidSchema


def _reason(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    text = str(error)
    if "resolve" in text or "Name or service not known" in text:
        return "its host name cannot be resolved; is there a network?"
    return f"the connection failed ({type(error).__name__}: {text})"
