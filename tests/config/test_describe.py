from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import pytest
import torch
from annotated_types import Ge, Gt, Le, MinLen

from runner.config.describe import Key, describe, type_text
from runner.config.groups import find_groups
from runner.config.introspect import parameter_docs
from runner.config.schema import Regularization
from runner.data.base import DataModule


def by_name(keys: list[Key]) -> dict[str, Key]:
    return {key.name: key for key in keys}


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (int | None, "int | null"),
        (list[int], "list[int]"),
        (Sequence[float] | None, "Sequence[float] | null"),
        (tuple[int, ...], "tuple[int, …]"),
        (dict[str, Any], "dict[str, any]"),
        (Literal["relu", "gelu"] | None, "relu | gelu | null"),
        (Annotated[float, Ge(0), Le(1)], "float, >= 0, <= 1"),
        (Annotated[int, Gt(0)] | None, "int, > 0 | null"),
        (Annotated[list[int], MinLen(1)], "list[int], at least 1"),
        (Callable[..., torch.Tensor], "callable"),
        (Any, "any"),
        (torch.nn.Module, "Module"),
    ],
)
def test_readable_types(annotation: Any, text: str) -> None:
    assert type_text(annotation) == text


def test_option() -> None:
    keys = by_name(describe(find_groups()["optimizer"]["adamw"]))
    assert keys["lr"].default == "0.001" and keys["lr"].doc.startswith("learning rate")
    assert keys["amsgrad"] == Key("amsgrad", "bool", "false", keys["amsgrad"].doc)
    assert "AMSGrad" in keys["amsgrad"].doc
    assert "params" not in keys


def test_supplied_arguments_are_omitted() -> None:
    groups = find_groups()
    assert list(by_name(describe(groups["scheduler"]["cosine"]))) == ["pct_start", "warmup_epochs", "floor"]
    trainer = {"_target_": "pytorch_lightning.Trainer"}
    assert "logger" in by_name(describe(trainer)) and "logger" not in by_name(describe(trainer, "trainer"))


def test_options_without_a_constructor() -> None:
    groups = find_groups()
    assert list(by_name(describe(groups["hardware"]["auto"])))[:2] == ["accelerator", "devices"]
    assert describe(groups["transfer"]["scratch"]) == []


def test_dataclass() -> None:
    keys = by_name(describe(Regularization))
    assert keys["weight_decay"] == Key(
        "weight_decay", "float, >= 0", "0.0", "weight decay of the optimizer; norms and biases are exempt."
    )
    assert keys["augment"].type == "node with _target_ | null"


def test_required_key_has_no_default() -> None:
    keys = by_name(describe({"_target_": "runner.models.mlp.MLP"}))
    assert keys["in_features"].default is None
    assert keys["hidden_sizes"].default == "[256]"


def test_docs_of_base_classes_are_used() -> None:
    class Mine(DataModule):
        """Mine.

        Args:
            extra: a parameter
                on two lines.
        """

        def __init__(self, extra: int = 1, **options: Any):
            super().__init__(**options)

    docs = parameter_docs(Mine)
    assert docs["extra"] == "a parameter on two lines."
    assert docs["num_workers"] == "number of loader processes."


def google(a: int, b: int, c: int) -> None:
    """Does it.

    Args:
        a, b: two of them: with a colon.
        c (int, optional): the third
            and more.

    Raises:
        ValueError: never.
    """


def numpy_style(a: int, b: int) -> None:
    """Does it.

    Parameters
    ----------
    a : int
        The first.
    b : int, optional
        The second.

        With more.

    Returns
    -------
    None
        nothing
    """


def sphinx(a: int, b: int) -> None:
    """Does it.

    :param a: The first.
    :param int b: The second.
    :returns: nothing
    """


def test_styles_of_docstrings() -> None:
    assert parameter_docs(google) == {
        "a": "two of them: with a colon.",
        "b": "two of them: with a colon.",
        "c": "the third and more.",
    }
    assert parameter_docs(numpy_style) == {"a": "The first.", "b": "The second. With more."}
    assert parameter_docs(sphinx) == {"a": "The first.", "b": "The second."}
    assert parameter_docs(lambda: None) == {}
