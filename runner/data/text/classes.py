"""Class ids of labels, also of labels that a trained run already knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from runner.data.labels import find_label, merge_spellings
from runner.errors import DataError

__all__ = ["number_labels"]


def number_labels(
    labels: Iterable[str], known: Sequence[str], title: str, order: Callable[[str], Any] | None = None
) -> tuple[list[str], dict[str, int]]:
    """The class names, and the class id of each spelling (see ``runner.data.labels``).

    Args:
        known: the class names of a trained run; empty for a new one.
        title: of the data, for messages.
        order: sort key of the names of a new run.

    Raises:
        DataError: labels that the trained run does not know.
    """
    spellings = merge_spellings(labels)
    if not known:
        names = sorted(set(spellings.values()), key=order)
        return names, {spelling: names.index(name) for spelling, name in spellings.items()}
    numbers = {spelling: find_label(spelling, known) for spelling in spellings}
    if unknown := sorted(spelling for spelling, number in numbers.items() if number is None):
        raise DataError(f"{title} has labels that the run was not trained on: {', '.join(unknown)}.")
    return list(known), numbers
