"""Communication between a forked trial and the sweep: JSON lines over a socket, answered by one byte."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from typing import Any

__all__ = ["CONTINUE", "HEARTBEAT_INTERVAL_S", "PRUNE", "Channel", "JsonLines"]

CONTINUE, PRUNE = b"g", b"p"
HEARTBEAT_INTERVAL_S = 1.0


class Channel:
    """The trial's end of the channel. The end of the sweep is ignored here: the fork server kills the trial.

    Args:
        end: socket to the sweep.
        waits: whether the sweep answers each report, because it may prune the trial.
    """

    def __init__(self, end: socket.socket, waits: bool) -> None:
        self._end = end
        self._waits = waits
        self._beat_at = 0.0

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._end.fileno()

    def beat(self) -> None:
        """Send a heartbeat if the last one is old enough."""
        now = time.monotonic()
        if now - self._beat_at >= HEARTBEAT_INTERVAL_S:
            self._beat_at = now
            self._send({"beat": True})

    def report(self, epoch: int, value: float) -> bool:
        """Report the objective after an epoch, counted from 1.

        Returns:
            Whether the trial is pruned.
        """
        self._send({"epoch": epoch, "value": value})
        if not self._waits:
            return False
        try:
            return self._end.recv(1) == PRUNE
        except OSError:
            return False

    def report_modules(self, names: list[str]) -> None:
        """Report the modules that this trial had to import, so that the fork server imports them too."""
        self._send({"modules": names})

    def _send(self, message: dict[str, Any]) -> None:
        with suppress(OSError):
            self._end.sendall(json.dumps(message).encode() + b"\n")


class JsonLines:
    """Decodes a stream of JSON lines that arrives in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Add received bytes; return the messages that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines if line]
