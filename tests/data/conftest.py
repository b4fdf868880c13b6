"""What several tests of data need: a file server that misbehaves, photographs drawn from noise."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class FileServer:
    """Serves byte strings on the loopback interface.

    Attributes:
        files: by path without the slash.
        ranges: whether range requests are answered with 206.
        cuts: for each of the next answers, after how many bytes of the body the connection is closed (None:
            never).
        statuses: answered one by one before anything else.
        asked: the Range header of every request, None where there was none.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.cuts: list[int | None] = []
        self.statuses: list[int] = []
        self.asked: list[str | None] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.http.handle_error = lambda *_: None  # a client that hangs up is what several tests are about
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/{name}"

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                span = self.headers.get("Range")
                server.asked.append(span)
                body = server.files.get(self.path[1:])
                status = server.statuses.pop(0) if server.statuses else (404 if body is None else 200)
                if status != 200:
                    self.send_error(status)
                    return
                start = 0
                if span and server.ranges:
                    start = int(span.removeprefix("bytes=").rstrip("-"))
                    if start >= len(body):
                        self.send_error(416)
                        return
                    self.send_response(206)
                    self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                cut = server.cuts.pop(0) if server.cuts else None
                self.wfile.write(body[start:] if cut is None else body[start : start + cut])

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.data.download.http.PAUSES_S", (0.0, 0.0, 0.0, 0.0))


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """``photo(seed, size=(width, height), format="JPEG", mode="RGB")``: smooth noise as an image file's
    bytes.
    """
    import numpy as np
    from PIL import Image

    def make(seed: int, size: tuple[int, int] = (48, 40), format: str = "JPEG", mode: str = "RGB") -> bytes:
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)
        file = io.BytesIO()
        image.save(file, format)
        return file.getvalue()

    return make


@pytest.fixture
def photo_folder(photo) -> Callable[..., Path]:
    """``photo_folder(root, {"train/cat": 3, …})``: that many photographs in each folder; returns the root."""

    def make(root: Path, counts: dict[str, int], extension: str = ".jpg") -> Path:
        for number, (folder, count) in enumerate(counts.items()):
            (root / folder).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                (root / folder / f"{index}{extension}").write_bytes(photo(1000 * number + index))
        return root

    return make


@pytest.fixture(scope="session")
def idx_bytes() -> Callable[..., bytes]:
    """``idx_bytes(array, code=8)``: a numpy array as the content of an idx file."""
    import struct

    def encode(array, code: int = 0x08) -> bytes:
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
        return header + array.astype(array.dtype.newbyteorder(">")).tobytes()

    return encode
