"""The rule for class labels: which spellings name the same class."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

__all__ = ["case_notices", "clean_label", "find_label", "merge_spellings", "merged_spellings"]


def clean_label(text: str) -> str:
    """Strips white space and composes Unicode (NFC).

    An umlaut written as one or two code points is then the same letter.
    """
    return unicodedata.normalize("NFC", str(text)).strip()


def number_of(label: str) -> Decimal | None:
    """Returns the finite number that a label spells, exactly; None for words.

    A label that contains an underscore is a word, although Python reads ``1_000`` as a number.
    """
    if "_" in label:
        return None
    try:
        number = Decimal(label)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def truth_of(label: str) -> bool | None:
    """Returns the truth value that a label spells in any case; None for other words."""
    return {"true": True, "false": False}.get(label.lower())


def merge_spellings(spellings: Iterable[str]) -> dict[str, str]:
    """Returns the class name of each spelling.

    Labels are compared after ``clean_label``. If all labels are numbers, equal numbers are the same class:
    ``1`` and ``1.0``. If all are truth values, upper and lower case do not matter: ``TRUE`` and ``true``. A
    class with one spelling keeps it; a class with several is named ``True`` or ``False``, or by the integer
    where the number is one, otherwise by its shortest spelling.

    Args:
        spellings: every label of a data set, repeated or not.

    Returns:
        A dictionary from each distinct spelling to its class name, in the order of first appearance.
    """
    cleaned = {spelling: clean_label(spelling) for spelling in spellings}
    distinct = list(dict.fromkeys(cleaned.values()))
    values = values_of(distinct)
    if values is None:
        return cleaned
    groups: dict[Decimal | bool, list[str]] = {}
    for label in distinct:
        groups.setdefault(values[label], []).append(label)
    names = {value: name_of_value(value, group) for value, group in groups.items()}
    return {spelling: names[values[label]] for spelling, label in cleaned.items()}


def values_of(labels: Sequence[str]) -> dict[str, Decimal | bool] | None:
    """Returns what all labels spell, numbers or truth values; None if some are other words."""
    for read in (number_of, truth_of):
        values = {label: value for label in labels if (value := read(label)) is not None}
        if labels and all(label in values for label in labels):
            return dict(values)
    return None


def name_of_value(value: Decimal | bool, spellings: Sequence[str]) -> str:
    if len(spellings) == 1:
        return spellings[0]
    if isinstance(value, bool):
        return str(value)
    return (
        str(int(value))
        if value == value.to_integral_value()
        else min(spellings, key=lambda text: (len(text), text))
    )


def merged_spellings(names: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the classes of ``merge_spellings`` that have several spellings, with these spellings."""
    groups: dict[str, list[str]] = {}
    for spelling, name in names.items():
        groups.setdefault(name, []).append(spelling)
    return {name: group for name, group in groups.items() if len(group) > 1}


def find_label(label: str, class_names: Sequence[str]) -> int | None:
    """Returns the id of the class that a label names, by the rule of ``merge_spellings``; None if unknown."""
    cleaned = clean_label(label)
    if cleaned in class_names:
        return list(class_names).index(cleaned)
    values = values_of([*class_names, cleaned])
    if values is None:
        return None
    return next((number for number, name in enumerate(class_names) if values[name] == values[cleaned]), None)


def case_notices(names: Sequence[str]) -> list[str]:
    """Returns a sentence for each group of class names that differ in upper and lower case only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [
        f"{' and '.join(map(repr, group))} differ only in upper and lower case and are {len(group)} classes"
        for group in groups.values()
        if len(group) > 1
    ]
