from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from runner.config.plain import MISSING, dotted_keys, interpolated_keys, references, to_plain, to_yaml

CONFIG = OmegaConf.create(
    {
        "a": {"b": 1, "c": "${a.b}", "d": None, "e": {}},
        "f": ["${a.b}", {"g": "${a}"}],
        "h": "${a}",
        "i": "???",
        "j": "from ${oc.select:a.b,3} and ${oc.env:HOME}",
    }
)


def test_to_plain() -> None:
    a = {"b": 1, "c": 1, "d": None, "e": {}}
    plain = to_plain(OmegaConf.masked_copy(CONFIG, ["a", "f", "h", "i"]), problems := [])
    assert plain == {"a": a, "f": [1, {"g": a}], "h": a, "i": MISSING}
    assert type(plain["f"]) is list and type(plain["h"]) is dict
    assert problems == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"a": {"drop": 1, "x": "${a.dorp}"}},
            "a.x: ${a.dorp} cannot be resolved: unknown key 'a.dorp'. Did you mean 'a.drop'",
        ),
        ({"a": "${a}"}, "a: ${a} cannot be resolved"),
        ({"a": "${b}", "b": "${a}"}, "cannot be resolved: Recursive interpolation"),
        ({"a": {"b": "${a}"}}, "a.b: ${a} cannot be resolved: Interpolation to parent"),
        ({"a": {"b": "${c}"}, "c": {"d": "${a}"}}, "cannot be resolved"),
        ({"a": ["${b.c}"], "b": "???"}, "a[0]: ${b.c} cannot be resolved"),
        ({"a": "${no.such:1}"}, "Unsupported interpolation type no.such"),
        ({"a": "${oc.env:NO_SUCH_VARIABLE_HERE}"}, "NO_SUCH_VARIABLE_HERE"),
    ],
)
def test_unresolvable_interpolations_are_named(config: dict, said: str) -> None:
    to_plain(OmegaConf.create(config), problems := [])
    assert any(said in str(problem) for problem in problems), problems
    assert {problem.kind for problem in problems} == {"unresolved"}
    assert all(str(problem).startswith(f"{problem.key}: ") for problem in problems)


def test_dotted_keys_and_references() -> None:
    assert dotted_keys(CONFIG) == ["a", "a.b", "a.c", "a.d", "a.e", "f", "h", "i", "j"]
    assert list(references(CONFIG)) == [("a.c", "a.b"), ("h", "a")]


def test_interpolated_keys() -> None:
    assert interpolated_keys(OmegaConf.create({"a": {"b": 1, "c": {"d": 2}}, "e": "${a.b}"})) == {"a.b"}
    assert interpolated_keys(OmegaConf.create({"a": {"c": {"d": 2}}, "e": "${a.c}"})) == {"a.c", "a.c.d"}
    assert interpolated_keys(OmegaConf.create({"a": {"b": 1}, "e": "${oc.select:a.b,2}"})) == {"a.b"}


@pytest.mark.parametrize(
    "text",
    [
        "${x}",
        r"\${x}",
        r"\\${x}",
        r"\\\${oc.env:HOME}",
        "$${y}",
        "${",
        "a$b",
        r"c\d",
        "tail\\",
        "a\n${b}",
        "1e3",
        "null",
        "<f>",
    ],
)
def test_yaml_reads_back_as_the_same_text(text: str) -> None:
    again = OmegaConf.create(to_yaml({"a": [text], "b": {"c": text}}))
    assert again.a[0] == again.b.c == text
