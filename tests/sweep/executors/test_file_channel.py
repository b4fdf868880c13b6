"""How a trial and the sweep talk through the run directory."""

from __future__ import annotations

import os
from pathlib import Path

from runner.sweep.executors.file_channel import Mailbox, MailboxChannel
from runner.sweep.running_trial import Attempt


def test_report_in_the_same_clock_tick_as_a_heartbeat_is_received(tmp_path: Path) -> None:
    mailbox, channel = Mailbox(Attempt(trial=3, run=tmp_path)), MailboxChannel(tmp_path, waits=False)
    assert mailbox.events() == []
    reports = tmp_path / "mailbox" / "reports.jsonl"
    tick = reports.stat().st_mtime_ns + 10**9
    os.utime(reports, ns=(tick, tick))
    assert [event.kind for event in mailbox.events()] == ["beat"]
    channel.report(1, 0.5)
    os.utime(reports, ns=(tick, tick))
    assert [(event.kind, event.epoch, event.value) for event in mailbox.events()] == [("report", 1, 0.5)]
