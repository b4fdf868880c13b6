"""Communication between a trial and the sweep through files, for ranks and for other machines.

In ``RUN/mailbox``, the sweep writes ``attempt.json`` (the instructions for the worker) and ``answer.json``;
the worker writes ``reports.jsonl``, whose modification time is its heartbeat.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from runner.run.files import read_json, write_json
from runner.sweep.executors.socket_channel import HEARTBEAT_INTERVAL_S, JsonLines
from runner.sweep.running_trial import Attempt, Event

__all__ = ["Mailbox", "MailboxChannel", "read_attempt"]

ANSWER_TIMEOUT_S = 60.0
"""Seconds without an answer after which the sweep counts as dead, and the trial continues without it."""
POLL_INTERVAL_S = 0.02


def folder_of(run: Path) -> Path:
    return run / "mailbox"


def read_attempt(run: Path) -> Attempt:
    """Read the instructions that the sweep has written for the worker of a run directory."""
    return Attempt.from_dict(read_json(folder_of(run) / "attempt.json"))


class Mailbox:
    """The sweep's end of the channel. The constructor removes the files of an earlier attempt."""

    def __init__(self, attempt: Attempt) -> None:
        self.trial = attempt.trial
        self._folder = folder_of(attempt.run)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._reports = self._folder / "reports.jsonl"
        self._reports.touch()
        self._seen = self._stat()
        self._lines, self._read = JsonLines(), 0
        self._epoch = 0
        write_json(self._folder / "attempt.json", attempt.as_dict())

    def events(self) -> list[Event]:
        """Return the events since the last call; costs one ``stat`` if nothing has changed."""
        current = self._stat()
        if current == self._seen:
            return []
        self._seen = current
        with open(self._reports, "rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        reports = self._lines.feed(data)
        if not reports:
            return [Event("beat", self.trial)]
        self._epoch = reports[-1]["epoch"]
        return [Event("report", self.trial, epoch=r["epoch"], value=r["value"]) for r in reports]

    def _stat(self) -> tuple[int, int]:
        """Return modification time and size; with coarse timestamps, the time alone may not change."""
        stat = self._reports.stat()
        return stat.st_mtime_ns, stat.st_size

    def answer(self, prune: bool) -> None:
        """Answer the last report."""
        write_json(self._folder / "answer.json", {"epoch": self._epoch, "prune": prune})


class MailboxChannel:
    """The trial's end of the channel, with the interface of `socket_channel.Channel`.

    Args:
        run: the run directory.
        waits: whether the sweep answers each report.
    """

    def __init__(self, run: Path, waits: bool) -> None:
        self._folder = folder_of(run)
        self._reports = self._folder / "reports.jsonl"
        self._waits = waits
        self._beat_at = 0.0

    def beat(self) -> None:
        """Send a heartbeat if the last one is old enough."""
        now = time.monotonic()
        if now - self._beat_at >= HEARTBEAT_INTERVAL_S:
            self._beat_at = now
            with suppress(OSError):  # the sweep has started another attempt, and will kill this one
                os.utime(self._reports)

    def report(self, epoch: int, value: float) -> bool:
        """Report the metric after an epoch, counted from 1; return whether the trial is pruned."""
        try:
            with open(self._reports, "a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": epoch, "value": value}) + "\n")
        except OSError:
            return False
        return self._waits and self._answer(epoch)

    def _answer(self, epoch: int) -> bool:
        until = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < until:
            answer = read_json(self._folder / "answer.json", {})
            if answer.get("epoch") == epoch:
                return bool(answer["prune"])
            time.sleep(POLL_INTERVAL_S)
        return False
