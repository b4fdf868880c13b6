from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from runner.config.allow_list import resolve_target
from runner.config.checks.arguments import takes_any
from runner.config.checks.values import literals
from runner.config.groups import find_groups
from runner.config.introspect import annotations_of, named_parameters, parameters_of
from runner.config.static_signature import static_signature

LOSSES = {"torch.nn.CrossEntropyLoss", "torch.nn.MSELoss", "torch.nn.BCEWithLogitsLoss"}
"""Constructors with bases whose order decides about the signature, which the source does not show easily."""


def targets() -> set[str]:
    paths = [option.path for options in find_groups().values() for option in options.values()]
    nodes = [yaml.safe_load(path.read_text()) or {} for path in paths]
    return {node["_target_"] for node in nodes if "_target_" in node} - LOSSES


def test_static_signatures_equal_the_imported_ones() -> None:
    read = {target: static_signature(target) for target in targets()}
    unknown = {target for target, signature in read.items() if signature is None}
    assert len(read) > 80 and len(unknown) <= 2
    for target in sorted(read.keys() - unknown):
        signature, constructor = read[target], resolve_target(target)
        imported = parameters_of(constructor)
        assert signature is not None and imported is not None
        assert signature.any_name == takes_any(imported), target
        if not signature.any_name:
            assert set(signature.parameters) - {"self"} == set(named_parameters(imported)), target
        hints = annotations_of(constructor)
        for name, parameter in signature.parameters.items():
            if name in hints:
                assert parameter.choices == tuple(literals(hints[name])), f"{target}.{name}"


def test_a_constructor_is_read_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("from .net import Net\nraise ImportError\n")
    lines = ["from typing import Literal", "Kind = Literal['a', 'b']", "class Net:",
             "    def __init__(self, kind: Kind | None = None, *, size: int = 3): ..."]  # fmt: skip
    (tmp_path / "own_package" / "net.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    signature = static_signature("own_package.Net")
    assert signature is not None and not signature.any_name
    assert {name: parameter.choices for name, parameter in signature.parameters.items()} == {
        "kind": ("a", "b"),
        "size": (),
    }
    assert signature.parameters["size"].names == {"int"}
    assert "own_package" not in sys.modules


@pytest.mark.parametrize("target", ["nothing.Net", "own", "", "math.sqrt", "runner.models.mlp.Nothing"])
def test_unknown_constructors_have_no_static_signature(target: str) -> None:
    assert static_signature(target) is None
