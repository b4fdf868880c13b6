"""Checks a value against the type and the ``annotated_types`` bounds of its parameter's annotation."""

from __future__ import annotations

import functools
import inspect
import json
import re
import typing
from typing import Any

from runner.config.facts import is_placeholder
from runner.config.introspect import members
from runner.suggest import nearest

__all__ = ["holds_unknown", "show", "type_problems"]

WORDS = {
    "None": "null",
    "a valid number": "a number",
    "a valid integer": "a whole number",
    "a valid string": "a string",
    "a valid boolean": "true or false",
    "a valid list": "a list",
    "a valid array": "a list",
    "a valid tuple": "a list",
    "a valid dictionary": "keys and values",
    "an object": "keys and values",
    "callable": "a node with _target_",
}
"""Pydantic's descriptions of expected values → those in our messages."""


OBJECTS = ("is_", "callable", "needs_python_object", "dataclass")
"""Prefixes of Pydantic error types for union members that are objects, which no plain value could match."""


def holds_unknown(value: Any) -> bool:
    """Whether a value contains a fact that is not known yet or a node that is still to be built."""
    if isinstance(value, dict):
        return "_target_" in value or any(holds_unknown(inner) for inner in value.values())
    if isinstance(value, list):
        return any(holds_unknown(inner) for inner in value)
    return is_placeholder(value)


def type_problems(annotation: Any, value: Any, place: str) -> list[str]:
    """Return the problems of a plain value; empty if the annotation cannot be checked."""
    if annotation in (Any, inspect.Parameter.empty) or holds_unknown(value):
        return []
    adapter = adapter_of(annotation)
    if adapter is None:
        return []
    from pydantic import ValidationError

    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return [explain(error, annotation, value, place)]
    except Exception:  # a type without JSON validation, or a value that is not JSON: left to the constructor
        return []
    return []


def adapter_of(annotation: Any) -> Any:
    try:
        return make_adapter(annotation)
    except TypeError:  # unhashable annotation
        return make_adapter.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def make_adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    except PydanticUserError as error:
        # A dataclass or model has its own settings. Other annotations have no schema.
        return TypeAdapter(annotation) if error.code == "type-adapter-config-unused" else None
    except Exception:  # an annotation for type checkers or another tool, which cannot be checked
        return None


def explain(error: Any, annotation: Any, value: Any, place: str) -> str:
    """Return one message for all members of a union that a value does not match."""
    items = error.errors(include_url=False, include_context=False)
    simple = [item for item in items if not item["type"].startswith(OBJECTS)]
    items = simple or items
    wrong = {"".join(f"[{part}]" for part in item["loc"] if isinstance(part, int)) for item in items}
    if len(wrong) == 1:
        place, value = place + wrong.pop(), items[0]["input"]
    expected = " or ".join(dict.fromkeys(wanted(item) for item in items))
    near = nearest(value, literals(annotation), most=1) if isinstance(value, str) else []
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{place}={show(value)}: expected {expected}.{hint}"


def wanted(item: dict[str, Any]) -> str:
    """Return what a Pydantic error item expects."""
    if item["type"].startswith(("is_", "needs_python_object")):
        return WORDS["callable"]
    return expectation(item["msg"])


def expectation(message: str) -> str:
    if message == "Field required":
        return "one more value"
    text = message.removeprefix("Input should be ").partition(", got")[0].partition(", unable to parse")[0]
    length = re.search(r"should have (at \w+ \d+) items?", text)
    if length:
        return f"{length.group(1)} values"
    if text.startswith(("greater", "less")):
        return f"a number {text}"
    return WORDS.get(text, text[0].lower() + text[1:])


def literals(annotation: Any) -> list[str]:
    choices = [typing.get_args(m) for m in members(annotation) if typing.get_origin(m) is typing.Literal]
    return [value for values in choices for value in values if isinstance(value, str)]


def show(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
