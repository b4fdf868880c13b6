"""How often something is done: ``500 steps``, ``10 minutes``, ``2 epochs``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from runner.errors import UserError

__all__ = ["UNITS", "parse_cadence"]

UNITS = {
    "steps": ("step", "steps"),
    "minutes": ("min", "mins", "minute", "minutes"),
    "epochs": ("epoch", "epochs"),
}
PATTERN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*[_-]?\s*([a-z]+)\s*")


def parse_cadence(words: str | Sequence[str]) -> dict[str, float | int]:
    """``"500 steps"`` to ``{"steps": 500}``; several are all kept to.

    Raises:
        UserError: it is none of these, or two of a kind.
    """
    found: dict[str, float | int] = {}
    for word in [words] if isinstance(words, str) else words:
        match = PATTERN.fullmatch(str(word).lower())
        unit = next((unit for unit, names in UNITS.items() if match and match.group(2) in names), None)
        number = float(match.group(1)) if unit else 0.0
        whole = unit == "minutes" or number.is_integer()
        if unit is None or number <= 0 or not whole:
            raise UserError(
                f"every={word!r}: expected a whole number of steps or epochs, or minutes: '500 steps', '10 minutes', "
                "'2 epochs', or a list of these."
            )
        if unit in found:
            raise UserError(f"every={list(words)!r}: {unit} stand there twice; give one of them.")
        found[unit] = number if unit == "minutes" else int(number)
    return found
