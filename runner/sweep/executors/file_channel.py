"""How a trial and the sweep talk through the run directory, where no socket reaches: ranks, other machines.

``RUN/mailbox/attempt.json`` says what the worker has to know, ``reports.jsonl`` is written by the worker (its
time of change is the sign of life), ``answer.json`` by the sweep.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from runner.run.files import read_json, write_json
from runner.sweep.executors.socket_channel import BEAT_EVERY_S, Lines
from runner.sweep.running_trial import Attempt, Event

__all__ = ["Mailbox", "MailboxChannel", "read_attempt"]

ANSWER_WITHIN_S = 60.0
"""After this time without a message the sweep is considered gone, and the trial continues without it."""
POLL_INTERVAL_S = 0.02


def folder_of(run: Path) -> Path:
    return run / "mailbox"


def read_attempt(run: Path) -> Attempt:
    """What the sweep has written for the worker of a run directory."""
    return Attempt.from_dict(read_json(folder_of(run) / "attempt.json"))


class Mailbox:
    """The sweep's end. Making one empties what an earlier attempt has left."""

    def __init__(self, attempt: Attempt) -> None:
        self.trial = attempt.trial
        self._folder = folder_of(attempt.run)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._reports = self._folder / "reports.jsonl"
        self._reports.touch()
        self._seen = self._look()
        self._lines, self._read = Lines(), 0
        self._epoch = 0
        write_json(self._folder / "attempt.json", attempt.as_dict())

    def events(self) -> list[Event]:
        """What has come since; costs a look at one file."""
        found = self._look()
        if found == self._seen:
            return []
        self._seen = found
        with open(self._reports, "rb") as file:
            file.seek(self._read)
            data = file.read()
        self._read += len(data)
        reports = self._lines.feed(data)
        if not reports:
            return [Event("beat", self.trial)]
        self._epoch = reports[-1]["epoch"]
        return [Event("report", self.trial, epoch=r["epoch"], value=r["value"]) for r in reports]

    def _look(self) -> tuple[int, int]:
        """Time of change and size: the clock of a file system may stand still between a beat and a report."""
        found = self._reports.stat()
        return found.st_mtime_ns, found.st_size

    def answer(self, prune: bool) -> None:
        write_json(self._folder / "answer.json", {"epoch": self._epoch, "prune": prune})


class MailboxChannel:
    """The trial's end: what ``Channel`` is over a socket."""

    def __init__(self, run: Path, waits: bool) -> None:
        self._folder = folder_of(run)
        self._reports = self._folder / "reports.jsonl"
        self._waits = waits
        self._beat_at = 0.0

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._beat_at >= BEAT_EVERY_S:
            self._beat_at = now
            try:
                os.utime(self._reports)
            except OSError:
                pass  # the sweep has begun another attempt, and will end this one

    def report(self, epoch: int, value: float) -> bool:
        try:
            with open(self._reports, "a", encoding="utf-8") as file:
                file.write(json.dumps({"epoch": epoch, "value": value}) + "\n")
        except OSError:
            return False
        return self._waits and self._answer(epoch)

    def _answer(self, epoch: int) -> bool:
        until = time.monotonic() + ANSWER_WITHIN_S
        while time.monotonic() < until:
            answer = read_json(self._folder / "answer.json", {})
            if answer.get("epoch") == epoch:
                return answer["prune"]
            time.sleep(POLL_INTERVAL_S)
        return False
