"""Splitting of text into tunes in ABC notation, and parsing with music21."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runner.errors import UserError

__all__ = ["Tune", "read_tune", "split_tunes"]

FEWEST_NOTES = 8


@dataclass
class Tune:
    """A tune and the result of parsing it.

    Attributes:
        text: ABC notation, starting with the ``X:`` line.
        title: content of the ``T:`` line.
        problem: why the tune is invalid; None for a valid tune.
        num_notes, num_bars: number of notes and bars.
        full_bars: fraction of bars, except the first and the last, whose duration matches the meter.
        score: the parsed music21 score; None for an invalid tune.
    """

    text: str
    title: str = ""
    problem: str | None = None
    num_notes: int = 0
    num_bars: int = 0
    full_bars: float = 0.0
    score: Any = None


def split_tunes(text: str) -> list[str]:
    """Splits a text into tunes, each starting with an ``X:`` line.

    Text before the first tune is dropped, and so is an incomplete tune at the end, unless it is the only one.
    """
    tunes = [part.rstrip() for part in re.split(r"(?m)^(?=X:)", text) if part.startswith("X:")]
    return tunes[:-1] if len(tunes) > 1 and not text.endswith("\n\n") else tunes


def read_tune(text: str) -> Tune:
    """Parses one tune.

    Raises:
        UserError: music21 is not installed.
    """
    title = re.search(r"(?m)^T:\s*(.*)$", text)
    tune = Tune(text, title.group(1).strip() if title else "")
    missing = [f"{key}:" for key in ("X", "K") if not re.search(rf"(?m)^{key}:", text)]
    if missing:
        tune.problem = f"it has no line {' nor '.join(missing)}"
        return tune
    try:
        measure(tune)
    except UserError:
        raise
    except Exception as error:  # music21 raises errors of every kind for invalid notation
        tune.problem = f"{type(error).__name__}: {str(error).split('.')[0][:120]}"
    if tune.problem is None and tune.num_notes < FEWEST_NOTES:
        tune.problem = f"it has {tune.num_notes} notes; a tune has {FEWEST_NOTES} or more"
    if tune.problem:
        tune.score = None
    return tune


def measure(tune: Tune) -> None:
    """Parses the tune with music21 and sets its score and statistics."""
    try:
        from music21 import converter, stream
    except ImportError as error:
        raise UserError("to read tunes, music21 is needed: pip install 'runner[music]'.") from error
    tune.score = converter.parse(tune.text + "\n", format="abc")
    bars = [bar for part in tune.score.parts for bar in part.getElementsByClass(stream.Measure)]
    tune.num_notes, tune.num_bars = len(list(tune.score.flatten().notes)), len(bars)
    inner = bars[1:-1]
    full = [abs(bar.duration.quarterLength - bar.barDuration.quarterLength) < 1e-6 for bar in inner]
    tune.full_bars = sum(full) / len(full) if full else 0.0
