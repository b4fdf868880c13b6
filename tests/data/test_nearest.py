"""Hints at mistyped names."""

from __future__ import annotations

import pytest

from runner.suggest import did_you_mean


@pytest.mark.parametrize(
    ("name", "valid", "hint"),
    [
        ("prize", ["Price", "size"], "Did you mean 'Price'?"),
        ("zzz", ["a", "b"], "There are: 'a', 'b'."),
        ("zzz", [], "There are none."),
        ("zzz", map(str, range(30)), "'19' …."),
    ],
)
def test_hints(name: str, valid: list[str], hint: str):
    assert did_you_mean(name, valid).endswith(hint)
