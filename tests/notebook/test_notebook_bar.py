"""The progress bar of notebooks: one output with a bar, curves and the latest metrics."""

from __future__ import annotations

import math
import sys
from types import ModuleType, SimpleNamespace

import pytest

from runner.callbacks import progress
from runner.callbacks.notebook_bar import NotebookBar, curve_svg, is_notebook


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stand-in for IPython; the list holds what one output showed."""
    shown: list[str] = []
    handle = SimpleNamespace(update=shown.append)

    def display(page: str, display_id: bool) -> SimpleNamespace:
        shown.append(page)
        return handle

    module, shell = ModuleType("IPython"), type("ZMQInteractiveShell", (), {})()
    module.get_ipython = lambda: shell  # type: ignore[attr-defined]
    output = ModuleType("IPython.display")
    output.HTML, output.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", output)
    return shown


def test_bar_replaces_its_output(pages: list[str]) -> None:
    assert is_notebook()
    bar = NotebookBar()
    bar.show("epoch 1/3", 0.25, "batch 5/20", "9 it/s", "train/loss 0.5")
    bar.add_epoch({"train/loss": 0.5, "val/loss": 0.6, "val/accuracy": 0.9})
    bar.add_epoch({"train/loss": 0.3, "val/loss": 0.4, "val/accuracy": 0.95})
    assert 'value="0.2500"' in pages[0] and "epoch 1/3 · batch 5/20 · 9 it/s" in pages[0]
    assert pages[-1].count("<svg") == 2, "loss of both splits in one chart, and accuracy"
    assert "<td>val/accuracy</td><td>0.95</td>" in pages[-1]
    bar.stop()
    assert "<progress" not in pages[-1] and pages[-1].count("<svg") == 2


def test_progress_uses_it_in_notebooks(pages: list[str]) -> None:
    shown = progress.Progress()
    shown._start()
    assert isinstance(shown._bar, NotebookBar)


def test_text_is_escaped_and_gaps_interrupt_nothing(pages: list[str]) -> None:
    NotebookBar().show("<b>", None, "batch 1")
    assert "&lt;b&gt;" in pages[0] and "value=" not in pages[0]
    assert curve_svg("loss", {"train": [math.nan, math.inf]}) == ""
    assert curve_svg("loss", {"val": [1.0, math.nan, 0.5]}).count("<circle") == 2
