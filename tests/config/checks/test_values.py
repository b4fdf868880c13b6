from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt, MinLen
from torch import Tensor, nn

from runner.config.checks.values import type_problems

SHARE = Annotated[float, Ge(0), Lt(1)]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 3),
        (float, 3),
        (float, 1e-3),
        (float | None, None),
        (bool, False),
        (str, "a"),
        (str | Path, "a"),
        (list[int], [1, 2]),
        (Sequence[float], [1, 2.5]),
        (tuple[float, float], [0.9, 0.99]),
        (tuple[int, ...], []),
        (tuple[float | Tensor, float | Tensor], [0.9, 0.99]),
        (float | Tensor, 0.1),
        (dict[str, int], {"a": 1}),
        (Literal["a", "b", 3], "b"),
        (Literal["a", "b", 3], 3),
        (SHARE | None, 0.5),
        (Annotated[Sequence[SHARE], MinLen(1)], [0.5]),
        (Any, object),
        (nn.Module, {"_target_": "torch.nn.ReLU"}),
        (int, "<facts:num_classes>"),
        ("a name only a type checker knows", 3),
    ],
)
def test_valid_values(annotation: Any, value: Any) -> None:
    assert type_problems(annotation, value, "x") == []


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (int, "3", 'x="3": expected a whole number.'),
        (int, 3.0, "x=3.0: expected a whole number."),
        (int, True, "x=true: expected a whole number."),
        (int, None, "x=null: expected a whole number."),
        (int, [3], "x=[3]: expected a whole number."),
        (float, "1e-3", 'x="1e-3": expected a number.'),
        (float, False, "x=false: expected a number."),
        (float, {"a": 1}, 'x={"a": 1}: expected a number.'),
        (bool, 1, "x=1: expected true or false."),
        (bool, "yes", 'x="yes": expected true or false.'),
        (str, 3, "x=3: expected a string."),
        (list[int], 3, "x=3: expected a list."),
        (list[int], [1, "a"], 'x[1]="a": expected a whole number.'),
        (list[list[int]], [[1], [2, "a"]], 'x[1][1]="a": expected a whole number.'),
        (dict[str, int], [1], "x=[1]: expected keys and values."),
        (tuple[float, float], [0.9, 0.9, 0.9], "x=[0.9, 0.9, 0.9]: expected at most 2 values."),
        (Annotated[list[int], MinLen(1)], [], "x=[]: expected at least 1 values."),
        (float | Tensor, "a", 'x="a": expected a number.'),
        (torch.Tensor | None, [1.0], "expected"),
        (Callable[..., Tensor] | None, "relu", 'x="relu": expected a node with _target_.'),
        (Literal["relu", "gelu"], "rleu", "x=\"rleu\": expected 'relu' or 'gelu'. Did you mean 'relu'?"),
        (Literal["relu", "gelu"] | None, 3, "x=3: expected 'relu' or 'gelu'."),
        (Annotated[int, Gt(0)], 0, "x=0: expected a number greater than 0."),
        (Annotated[int, Gt(0)] | None, 0, "x=0: expected a number greater than 0."),
        (SHARE, 1, "x=1: expected a number less than 1."),
        (SHARE, float("nan"), "x=NaN: expected"),
        (Annotated[float, Le(5)], float("inf"), "x=Infinity: expected a number less than or equal to 5."),
        (Annotated[Sequence[SHARE], MinLen(1)], [0.5, 2], "x[1]=2: expected a number less than 1."),
    ],
)
def test_invalid_values(annotation: Any, value: Any, said: str) -> None:
    (problem,) = type_problems(annotation, value, "x")
    assert said in str(problem)
    assert str(problem).startswith(f"{problem.key}=")


@pytest.mark.parametrize(
    ("annotation", "value", "key", "kind"),
    [
        (int, "3", "x", "wrong_type"),
        (list[list[int]], [[1], [2, "a"]], "x[1][1]", "wrong_type"),
        (tuple[float, float], [0.9], "x", "out_of_bounds"),
        (tuple[float, float], [0.9, 0.9, 0.9], "x", "out_of_bounds"),
        (Annotated[list[int], MinLen(1)], [], "x", "out_of_bounds"),
        (Literal["relu", "gelu"], "rleu", "x", "invalid_value"),
        (Literal["relu", "gelu"] | None, 3, "x", "wrong_type"),
        (Annotated[int, Gt(0)] | None, 0, "x", "out_of_bounds"),
        (Annotated[int, Gt(0)] | Literal["auto"], "many", "x", "invalid_value"),
        (Annotated[Sequence[SHARE], MinLen(1)], [0.5, 2], "x[1]", "out_of_bounds"),
    ],
)
def test_key_and_kind_of_a_wrong_value(annotation: Any, value: Any, key: str, kind: str) -> None:
    (problem,) = type_problems(annotation, value, "x")
    assert (problem.key, problem.kind) == (key, kind)


def test_long_values_are_cut() -> None:
    (problem,) = type_problems(int, "long" * 100, "x")
    assert len(str(problem)) < 130
