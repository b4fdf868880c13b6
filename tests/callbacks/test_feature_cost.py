import io
import re

import pytest
from rich.console import Console

from runner.callbacks.feature_cost import FeatureProgress


def output(console: Console) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_line_appears_at_least_every_30_s(monkeypatch):
    """Batches of 12 s: a line every 24 s."""
    clock = [0.0]
    monkeypatch.setattr("runner.callbacks.feature_cost.time.monotonic", lambda: clock[0])
    console = Console(file=io.StringIO(), width=40)
    with FeatureProgress(8, console) as progress:
        for _ in range(8):
            clock[0] += 12.0
            progress.advance()
    assert output(console).splitlines() == [
        "features of the frozen backbone  batch 2/8  eta 1 min 12 s",
        "features of the frozen backbone  batch 4/8  eta 48 s",
        "features of the frozen backbone  batch 6/8  eta 24 s",
        "features of the frozen backbone  batch 8/8",
    ]


def test_short_computation_prints_nothing():
    console = Console(file=io.StringIO(), width=40)
    with FeatureProgress(2, console) as progress:
        progress.advance()
        progress.advance()
    assert output(console) == ""


def test_terminal_shows_a_bar_that_disappears(monkeypatch):
    monkeypatch.setattr("runner.callbacks.feature_cost.DRAW_EVERY_S", 0.0)
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with pytest.raises(RuntimeError), FeatureProgress(4, console) as progress:
        progress.advance()
        raise RuntimeError
    assert "batch 1/4" in output(console) and "━" in output(console)
    assert console.file.getvalue().rstrip("\n").count("\x1b[?25h") == 1


def test_other_ranks_print_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("runner.callbacks.feature_cost.LINE_EVERY_S", 0.0)
    console = Console(file=io.StringIO(), width=100)
    with FeatureProgress(2, console) as progress:
        progress.advance()
    assert output(console) == ""
