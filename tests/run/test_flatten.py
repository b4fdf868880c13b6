from __future__ import annotations

import pytest

from runner.run.flatten import flatten

NODE = {"a": {"b": [1, 2], "c": {}}, "d": [{"e": 1}, 2], "f": None, 3: (1, {"x": 1})}


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ("values", {"a.b": [1, 2], "d": [{"e": 1}, 2]}),
        ("items", {"a.b[0]": 1, "a.b[1]": 2, "d[0].e": 1, "d[1]": 2}),
        ("nested", {"a.b": [1, 2], "d.0.e": 1, "d.1": 2}),
    ],
)
def test_flatten_lists(lists: str, expected: dict) -> None:
    assert dict(flatten(NODE, lists=lists)) == expected | {"a.c": {}, "f": None, "3": (1, {"x": 1})}


def test_key_of_the_outermost_container() -> None:
    assert dict(flatten({"b": {"c": 1}}, "a")) == {"a.b.c": 1}
    assert dict(flatten({}, "a")) == {"a": {}}
    assert dict(flatten({})) == {}
