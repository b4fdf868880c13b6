"""Tunes in ABC notation: taken apart, and read by music21 to see whether they are tunes at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runner.errors import UserError

__all__ = ["Tune", "read_tune", "split_tunes"]

FEWEST_NOTES = 8


@dataclass
class Tune:
    """One tune and what its reading gave.

    Attributes:
        text: from its line ``X:`` on.
        title: from its line ``T:``.
        problem: why it is none; None for a sound one.
        num_notes, num_bars: of the tune.
        full_bars: share of the bars, first and last of them apart, that are as long as the metre says.
        score: music21's; None where there is a problem.
    """

    text: str
    title: str = ""
    problem: str | None = None
    num_notes: int = 0
    num_bars: int = 0
    full_bars: float = 0.0
    score: Any = None


def split_tunes(text: str) -> list[str]:
    """The tunes of a text: each begins with a line ``X:``. One that breaks off at the end is left out, unless it is
    the only one; so is what stands before the first."""
    found = [part.rstrip() for part in re.split(r"(?m)^(?=X:)", text) if part.startswith("X:")]
    return found[:-1] if len(found) > 1 and not text.endswith("\n\n") else found


def read_tune(text: str) -> Tune:
    """Reads one tune.

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
    except Exception as error:  # music21 refuses notation with errors of every kind
        tune.problem = f"{type(error).__name__}: {str(error).split('.')[0][:120]}"
    if tune.problem is None and tune.num_notes < FEWEST_NOTES:
        tune.problem = f"it has {tune.num_notes} notes; a tune has {FEWEST_NOTES} or more"
    if tune.problem:
        tune.score = None
    return tune


def measure(tune: Tune) -> None:
    """What music21 finds in it."""
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
