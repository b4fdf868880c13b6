import math

import pytest

from runner.report.format import count, duration, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.97123, "0.9712"),
        (-3.14159, "-3.1416"),
        (53.2149, "53.21"),
        (12345.6, "12,346"),
        (1.234e-5, "1.23e-05"),
        (2.5e12, "2.50e+12"),
        (0.0, "0"),
        (12345, "12,345"),
        (True, "True"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ("nan", "nan"),
        (None, "-"),
    ],
)
def test_number(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (80, "1 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(950, "950"), (21289802, "21.3 M"), (7_000_000_000, "7 B"), (1026, "1.03 k")]
)
def test_count(value, text):
    assert count(value) == text
