"""Checks a value against the type and the ``annotated_types`` bounds of its parameter's annotation."""

from __future__ import annotations

import functools
import inspect
import json
import re
import typing
from typing import Any, TypeGuard

from runner.config.facts import is_placeholder
from runner.config.introspect import members
from runner.errors import Problem, ProblemKind
from runner.suggest import nearest

if typing.TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

__all__ = ["holds_unknown", "is_count", "is_number", "show", "type_problems"]

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

BOUNDS = ("greater_than", "less_than", "multiple_of", "finite_number", "too_short", "too_long")
"""Prefixes of Pydantic error types for values of the right type outside their bounds."""

MAX_SHOWN = 80
"""Maximum length of a value in a message."""


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value is a number. A boolean is none, although it is an ``int`` in Python."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether a value is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def holds_unknown(value: Any) -> bool:
    """Return whether a value contains a fact that is not known yet or a node that is still to be built."""
    if isinstance(value, dict):
        return "_target_" in value or any(holds_unknown(inner) for inner in value.values())
    if isinstance(value, list):
        return any(holds_unknown(inner) for inner in value)
    return is_placeholder(value)


def type_problems(annotation: Any, value: Any, key: str) -> list[Problem]:
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
        return [explain(error, annotation, value, key)]
    except Exception:  # a type without JSON validation, or a value that is not JSON: left to the constructor
        return []
    return []


def adapter_of(annotation: Any) -> TypeAdapter[Any] | None:
    try:
        return make_adapter(annotation)
    except TypeError:  # unhashable annotation
        return make_adapter.__wrapped__(annotation)


@functools.lru_cache(maxsize=1024)
def make_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(annotation, config=ConfigDict(strict=True, arbitrary_types_allowed=True))
    except PydanticUserError as error:
        # A dataclass or model has its own settings. Other annotations have no schema.
        return TypeAdapter(annotation) if error.code == "type-adapter-config-unused" else None
    except Exception:  # an annotation for type checkers or another tool, which cannot be checked
        return None


def explain(error: ValidationError, annotation: Any, value: Any, key: str) -> Problem:
    """Return one problem for all members of a union that a value does not match."""
    items = error.errors(include_url=False, include_context=False)
    items = [item for item in items if not item["type"].startswith(OBJECTS)] or items
    paths = {path_of(item) for item in items}
    if len(paths) == 1:
        key, value = key + paths.pop(), items[0]["input"]
    expected = " or ".join(dict.fromkeys(expectation_of(item) for item in items))
    similar = nearest(value, literals(annotation), most=1) if isinstance(value, str) else []
    suggestion = f"Did you mean {similar[0]!r}?" if similar else None
    return Problem(key, f"{key}={show(value)}: expected {expected}.", kind_of(items, value), suggestion)


def path_of(item: ErrorDetails) -> str:
    """Return the position of an invalid value in its list; a missing value has none."""
    if item["type"] == "missing":
        return ""
    return "".join(f"[{part}]" for part in item["loc"] if isinstance(part, int))


def kind_of(items: list[ErrorDetails], value: Any) -> ProblemKind:
    if any(item["type"].startswith(BOUNDS) or item["type"] == "missing" for item in items):
        return "out_of_bounds"
    is_choice = any(item["type"] in ("literal_error", "enum") for item in items)
    return "invalid_value" if is_choice and isinstance(value, str) else "wrong_type"


def expectation_of(item: ErrorDetails) -> str:
    """Return the value that a Pydantic error item expects, in words."""
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
    """Format a value for a message."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
