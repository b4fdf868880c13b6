"""Number formats of tables.

Supported are decimal commas, thousands separators, percent and currency signs, and negative numbers in
parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from runner.errors import DataError

__all__ = ["NumberFormat", "is_number", "parse_numbers", "plain_numbers", "read_formats", "to_numbers"]

DASHES = {"-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}"}
CURRENCY = "[$€£¥₹]|(?:USD|EUR|GBP|CHF|JPY|INR)"
BLANKS = " \u00a0\u2009\u202f"
SIGN_NAMES = {"point": ".", "comma": ",", "space": " ", "apostrophe": "'", "none": ""}
"""Names for signs that need quotes on a command line."""
ALMOST_ALL = 0.9
GLANCE = 100  # values examined first, so that columns of words are rejected cheaply
AFFIXES = re.compile(rf"^([+-]?)[{BLANKS}]*({CURRENCY}|)[{BLANKS}]*([+-]?)(.*?)[{BLANKS}]*(%|{CURRENCY}|)$")
IN_PARENTHESES = re.compile(r"^(\D*)\(([^()+-]*\d[^()+-]*)\)(\D*)$")
ONLY_GROUPS = re.compile(r"^[+-]?[1-9]\d{0,2}(?:[.,]\d{3})$")


@dataclass(frozen=True)
class NumberFormat:
    """The format of the numbers of a column.

    Attributes:
        decimal: ``.`` or ``,``.
        thousands: separator of groups of three digits: ``.``, ``,``, a blank, ``'`` or an empty string.
    """

    decimal: str = "."
    thousands: str = ""


PLAIN = NumberFormat()
FORMATS = [NumberFormat(decimal, thousands) for thousands in ("", ",", ".", " ", "'") for decimal in ".,"
           if decimal != thousands]  # fmt: skip


def to_numbers(column: pd.Series) -> pd.Series:
    """Converts text to float64; NaN for anything but finite numbers."""
    return pd.to_numeric(column, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)


def is_number(text: str) -> bool:
    """Return whether a text is a number in any of the formats."""
    try:
        float(text)
    except ValueError:
        return bool(text.strip()) and any(pattern(form).match(body(text)) for form in FORMATS)
    return True


def parse_numbers(column: pd.Series, decimal: str = ".", thousands: str = "") -> pd.Series:
    """Convert text to float64; NaN where a value is not a number in this format.

    ``1.234,5`` is 1234.5 with ``decimal=","`` and ``thousands="."``, ``12.5%`` is 12.5 and ``$5`` is 5.
    """
    return to_numbers(rewritten(column.map(body, na_action="ignore"), NumberFormat(decimal, thousands)))


def body(text: str) -> str:
    """Return a number without percent and currency signs; blanks between digits become spaces."""
    text = signed(text)
    match = AFFIXES.match(text)
    if match is None or (match[1] and match[3]) or (match[2] and match[5]):
        return text
    return match[1] + match[3] + re.sub(f"[{BLANKS}]", " ", match[4])


def signed(text: str) -> str:
    """Return the text with an ASCII minus; ``(5)``, a negative number in accounting, becomes ``-5``."""
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    return IN_PARENTHESES.sub(r"-\1\2\3", text) if text.endswith(")") or "(" in text else text


def unit(text: str) -> str:
    """Return the percent or currency sign of a value."""
    match = AFFIXES.match(signed(text))
    return (match[2] or match[5]) if match else ""


@lru_cache
def pattern(form: NumberFormat) -> re.Pattern[str]:
    point = re.escape(form.decimal)
    whole = r"\d+"
    if form.thousands:
        whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{re.escape(form.thousands)}\d{{3}})+)"
    return re.compile(rf"^[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$")


def rewritten(bodies: pd.Series, form: NumberFormat) -> pd.Series:
    """Return the values of this format as plain numbers, NaN for all others."""
    fits = bodies.str.match(pattern(form)).fillna(False).astype(bool)
    values = bodies.where(fits)
    if form.thousands:
        values = values.str.replace(form.thousands, "", regex=False)
    return values.str.replace(form.decimal, ".", regex=False) if form.decimal != "." else values


def fits(values: pd.Series, form: NumberFormat) -> bool:
    return bool(values.map(body).str.match(pattern(form)).all())


@dataclass
class Reading:
    """The possible formats of a column.

    Attributes:
        forms: formats that fit almost all values and give different values.
        is_certain: whether at least one value fits no other decimal sign.
        problem: why the values cannot be read although they look like numbers.
    """

    forms: list[NumberFormat]
    is_certain: bool = False
    problem: str = ""


def read_formats(
    table: pd.DataFrame,
    path: object,
    decimal: str | None = None,
    thousands: str | None = None,
    known: Mapping[str, NumberFormat] | None = None,
) -> dict[str, NumberFormat]:
    """Return the format of each column of numbers.

    Args:
        table: text, NaN where a value is missing.
        path: path of the table, for messages.
        decimal: decimal sign of all columns or its name in ``SIGN_NAMES``; detected when None.
        thousands: thousands separator of all columns or its name; detected when None.
        known: formats of columns of another file of the same kind, which are preferred.

    Raises:
        DataError: a column of numbers is ambiguous, or fits no single format.
    """
    known = known or {}
    decimal, thousands = (
        sign if sign is None else SIGN_NAMES.get(sign, sign) for sign in (decimal, thousands)
    )
    readings: dict[str, Reading] = {}
    for name in table.columns:
        values = table[name].dropna()
        values = values[~values.isin(DASHES)]
        if name in known and fits(values, known[name]):
            readings[name] = Reading([known[name]], is_certain=True)
        elif (reading := read_column(values, decimal, thousands)) is not None:
            readings[name] = reading
    problems = [
        f"{path}: column {name!r} {reading.problem}" for name, reading in readings.items() if reading.problem
    ]
    signs = {reading.forms[0].decimal for reading in readings.values() if reading.is_certain}
    signs |= {form.decimal for form in known.values()}
    formats = {}
    for name, reading in readings.items():
        if reading.problem:
            continue
        forms = reading.forms
        if len(forms) > 1 and len(signs) == 1:
            forms = [form for form in forms if form.decimal in signs] or forms
        if len(forms) > 1 and not (forms[0] == PLAIN and len(signs) < 2 and "," not in signs):
            problems.append(f"{path}: {two_readings(name, table[name], forms)}")
        formats[name] = forms[0]
    if problems:
        raise DataError("\n".join(problems))
    return formats


def read_column(values: pd.Series, decimal: str | None, thousands: str | None) -> Reading | None:
    """Return the possible formats of a column of numbers; None for words."""
    if values.empty:
        return None
    if decimal is None and thousands is None and to_numbers(values).notna().all():
        return plain_reading(values)
    glance = values.iloc[:GLANCE].map(body)
    if np.mean([any(pattern(form).match(text) for form in FORMATS) for text in glance]) < 0.5:
        return None
    bodies = values.map(body)
    allowed = [form for form in FORMATS if decimal in (None, form.decimal)]
    if thousands is not None:
        allowed = [
            form for form in allowed if form.thousands in ("", thousands) and form.decimal != thousands
        ]
    share = {form: bodies.str.match(pattern(form)).mean() for form in FORMATS}
    best = max(share[form] for form in allowed)
    if best < ALMOST_ALL:
        return None if union_share(bodies) < 1 else other_reading(values, share, decimal, thousands)
    forms = [form for form in allowed if share[form] == best]
    if len(units := sorted(set(values.map(unit)))) > 1 and ("%" in units or len(units) > 2):
        shown = ", ".join(repr(str(values[values.map(unit) == sign].iloc[0])) for sign in units[:3])
        return Reading(
            [], problem=f"mixes numbers with different signs ({shown}). Write all of them in one unit."
        )
    return Reading(distinct(bodies, forms), is_certain=one_sign(share, best, bodies))


def plain_reading(values: pd.Series) -> Reading:
    """Return the formats of plain numbers: only values like ``1.234`` throughout could also be thousands."""
    has_point = values.str.contains(".", regex=False)
    if not has_point.any():
        return Reading([PLAIN])
    if values[has_point].str.match(ONLY_GROUPS).all():
        return Reading([PLAIN, NumberFormat(",", ".")])
    return Reading([PLAIN], is_certain=True)


def union_share(bodies: pd.Series) -> float:
    return float(np.mean([any(pattern(form).match(text) for form in FORMATS) for text in bodies]))


def other_reading(
    values: pd.Series, share: Mapping[NumberFormat, float], decimal: str | None, thousands: str | None
) -> Reading:
    """Return the reading of values that are all numbers, but not in one allowed format."""
    if share[PLAIN] == 1:
        return Reading([PLAIN])
    shown = ", ".join(repr(value) for value in dict.fromkeys(values.iloc[:4]))
    options = "".join(
        f" data.{name}={value!r}" for name, value in (("decimal", decimal), ("thousands", thousands)) if value
    )
    given = f" with{options}" if options else ", some with a decimal comma and some with a decimal point"
    return Reading(
        [], problem=f"holds numbers that do not fit one format{given}: {shown}. Write all in one format."
    )


def one_sign(share: Mapping[NumberFormat, float], best: float, bodies: pd.Series) -> bool:
    signs = {form.decimal for form in FORMATS if share[form] == best}
    return len(signs) == 1 and bool(bodies.str.contains("[.,]").any())


def distinct(bodies: pd.Series, forms: Sequence[NumberFormat]) -> list[NumberFormat]:
    """Return one format for each different reading of the values."""
    readings: list[tuple[NumberFormat, pd.Series]] = []
    for form in forms:
        numbers = to_numbers(rewritten(bodies, form))
        if not any(numbers.equals(other) for _, other in readings):
            readings.append((form, numbers))
    return [form for form, _ in readings]


def two_readings(name: str, column: pd.Series, forms: Sequence[NumberFormat]) -> str:
    values = column.dropna()
    example = next((text for text in values if ONLY_GROUPS.match(body(text))), values.iloc[0])
    first, second = (
        float(parse_numbers(pd.Series([example]), form.decimal, form.thousands)[0]) for form in forms[:2]
    )
    options = " or ".join(f"data.decimal={'comma' if form.decimal == ',' else 'point'}" for form in forms[:2])
    return (
        f"column {name!r} can be read in two ways: {example!r} is {first:.15g} with decimal "
        f"{forms[0].decimal!r} and {second:.15g} with decimal {forms[1].decimal!r}. Choose one with "
        f"{options}; for categories, use data.categorical=[{name}]."
    )


def plain_numbers(column: pd.Series, form: NumberFormat) -> pd.Series:
    """Rewrite a column of numbers as plain text (``1.234,5 €`` becomes ``1234.5``), dashes as missing values.

    Other values stay unchanged.
    """
    column = column.where(~column.isin(DASHES))
    if to_numbers(column.dropna()).notna().all() and form == PLAIN:
        return column
    return rewritten(column.map(body, na_action="ignore"), form).fillna(column)
