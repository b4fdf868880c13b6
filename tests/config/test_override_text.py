from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from runner.config.overrides import as_overrides


@pytest.mark.parametrize(
    "value",
    [
        1,
        -2.5,
        1e-8,
        True,
        None,
        "mlp",
        "a b",
        "a,b",
        "null",
        "TRUE",
        "1e3",
        "it's",
        "back\\slash",
        "tail\\",
        "it\\'s",
        "${facts:x}",
        "=",
        "",
        "é",
        [1, "a b", [None]],
        "~/data/x-1.csv",
        "../x",
        "/a/b",
        "C:\\x",
        "[1]",
        "{a:1}",
    ],
)
def test_hydra_reads_back_the_same_value(value: object) -> None:
    (line,) = as_overrides({"key": value})
    assert OverridesParser.create().parse_override(line).value() == value


def test_nested_mappings_become_dotted_keys() -> None:
    assert as_overrides({"model": "mlp", "optimizer": {"lr": 0.1, "betas": (0.9, 0.99)}, "x": {}}) == [
        "model=mlp",
        "optimizer.lr=0.1",
        "optimizer.betas=[0.9,0.99]",
        "x={}",
    ]
