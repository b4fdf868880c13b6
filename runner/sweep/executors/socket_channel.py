"""How a trial and the sweep talk while the trial trains: JSON lines over a socket, a byte in return."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

__all__ = ["BEAT_EVERY_S", "GO", "PRUNE", "Channel", "Lines"]

GO, PRUNE = b"g", b"p"
BEAT_EVERY_S = 1.0


class Channel:
    """The trial's end. A sweep that has gone is no reason to fail: the trial is ended by other means.

    Args:
        waits: whether the sweep answers each value, since it may prune.
    """

    def __init__(self, end: socket.socket, waits: bool) -> None:
        self._end = end
        self._waits = waits
        self._beat_at = 0.0

    def fileno(self) -> int:
        return self._end.fileno()

    def beat(self) -> None:
        """A sign of life; costs a look at the clock."""
        now = time.monotonic()
        if now - self._beat_at >= BEAT_EVERY_S:
            self._beat_at = now
            self._send({"beat": True})

    def report(self, epoch: int, value: float) -> bool:
        """Tells the monitored metric after an epoch, counted from 1.

        Returns:
            Whether the trial is to end here.
        """
        self._send({"epoch": epoch, "value": value})
        if not self._waits:
            return False
        try:
            return self._end.recv(1) == PRUNE
        except OSError:
            return False

    def tell_modules(self, names: list[str]) -> None:
        """What this trial had to import itself, for the process that forks the next ones."""
        self._send({"modules": names})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._end.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            pass


class Lines:
    """JSON lines out of a stream that comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines if line]
