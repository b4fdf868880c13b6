"""The rule for class labels: which spellings name the same class."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["clean_label", "find_label", "merge_spellings", "merged_spellings"]


def clean_label(text: str) -> str:
    """Strips white space and composes Unicode (NFC), so that an umlaut written as one or two code points is the same
    letter."""
    return unicodedata.normalize("NFC", str(text)).strip()


def number_of(label: str) -> float | None:
    """Returns the finite number that a label spells; None for words. Unlike for ``float``, a label that contains an
    underscore (``1_000``) is a word."""
    if "_" in label:
        return None
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def merge_spellings(spellings: Iterable[str]) -> dict[str, str]:
    """Returns the class name of each spelling.

    Labels are compared after ``clean_label``. If all labels are numbers, equal numbers are the same class: ``1`` and
    ``1.0``. A class with one spelling keeps it; a class with several is named by the integer where the number is one,
    otherwise by its shortest spelling.

    Args:
        spellings: every label of a data set, repeated or not.

    Returns:
        A dictionary from each distinct spelling to its class name, in the order of first appearance.
    """
    cleaned = {spelling: clean_label(spelling) for spelling in spellings}
    distinct = list(dict.fromkeys(cleaned.values()))
    numbers = {label: number_of(label) for label in distinct}
    if not distinct or any(number is None for number in numbers.values()):
        return cleaned
    groups: dict[float, list[str]] = {}
    for label in distinct:
        groups.setdefault(numbers[label], []).append(label)
    names = {number: name_of_number(number, group) for number, group in groups.items()}
    return {spelling: names[numbers[label]] for spelling, label in cleaned.items()}


def name_of_number(number: float, spellings: Sequence[str]) -> str:
    if len(spellings) == 1:
        return spellings[0]
    return str(int(number)) if number.is_integer() else min(spellings, key=lambda text: (len(text), text))


def merged_spellings(names: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the classes of ``merge_spellings`` that have several spellings, with these spellings."""
    groups: dict[str, list[str]] = {}
    for spelling, name in names.items():
        groups.setdefault(name, []).append(spelling)
    return {name: group for name, group in groups.items() if len(group) > 1}


def find_label(label: str, class_names: Sequence[str]) -> int | None:
    """Returns the id of the class that a label names, by the rule of ``merge_spellings``; None for an unknown label."""
    cleaned = clean_label(label)
    if cleaned in class_names:
        return list(class_names).index(cleaned)
    number = number_of(cleaned)
    numbers = [number_of(name) for name in class_names]
    if number is None or None in numbers:
        return None
    return numbers.index(number) if number in numbers else None
