"""Signatures, annotations and documentation of constructors.

The package docstring_parser 0.18 extracts the same 1207 descriptions from 119 constructors (those of all
options and five of torch), but takes six times as long and would replace only 45 lines here. Pydantic 2
resolves the annotations of a function all together, so one that cannot be evaluated would disable the check
of the others.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = [
    "NodeSpec",
    "annotations_of",
    "members",
    "named_parameters",
    "node_spec",
    "parameter_docs",
    "parameters_of",
]


@dataclass(frozen=True)
class NodeSpec:
    """Annotation of a node that refers to a constructor by ``_target_``.

    Attributes:
        makes: dotted name of the class that the constructor must return.
        supplied: parameters that runner supplies by name.
        first: parameters that runner supplies by position.
        deferred: whether runner calls the constructor later, so that the node has ``_partial_: true``.
    """

    makes: str = ""
    supplied: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    deferred: bool = False


def node_spec(annotation: Any) -> NodeSpec | None:
    """Return the ``NodeSpec`` of an annotation, which may be a union with None."""
    metadata = getattr(annotation, "__metadata__", ())
    specs = [entry for entry in metadata if isinstance(entry, NodeSpec)]
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        specs += [part for part in map(node_spec, typing.get_args(annotation)) if part]
    return specs[0] if specs else None


SECTION = re.compile(r"(Args|Arguments|Parameters|Keyword Args|Keyword Arguments):?\s*$")
ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:,\s*\*{0,2}\w+)*)\s*(?:\([^)]*\))?\s*:(?:\s+(?P<text>.*)|$)")
NUMPY_ENTRY = re.compile(r"(?P<names>\*{0,2}\w+(?:,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
FIELD = re.compile(r"^:param\s+(?:[^:]*\s)?(?P<names>\w+):\s*(?P<text>.*)$")


def parameter_docs(constructor: Callable[..., Any]) -> dict[str, str]:
    """Return parameter → its documentation as one line.

    The docstring of a subclass takes precedence over those of its bases.
    """
    kinds = inspect.getmro(constructor) if inspect.isclass(constructor) else (constructor,)
    docs: dict[str, str] = {}
    for kind in kinds:
        for source in (kind.__doc__, getattr(vars(kind).get("__init__"), "__doc__", None)):
            for name, text in entries(inspect.cleandoc(source or "")):
                docs.setdefault(name, text)
    return docs


def entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield ``(parameter, text)`` for each entry of a cleaned docstring."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        field = FIELD.match(line)
        if field:
            yield field["names"], field["text"].strip()
        if SECTION.match(line):
            below = lines[number + 1 :]
            numpy = bool(below) and re.fullmatch(r"-{3,}", below[0].strip()) is not None
            yield from section(below[1:] if numpy else below, NUMPY_ENTRY if numpy else ENTRY, numpy)


def section(lines: list[str], pattern: re.Pattern[str], numpy: bool) -> Iterator[tuple[str, str]]:
    """Yield the entries of one section, which ends where the indentation does."""
    names: list[str] = []
    words: list[str] = []
    margin = None
    for line, below in zip([*lines, "end"], [*lines[1:], "", ""], strict=True):
        indent = len(line) - len(line.lstrip())
        if line.strip() and margin is None:
            margin = indent
        if not line.strip() or indent > (margin or 0):
            words.append(line.strip())
            continue
        match = pattern.match(line.strip())
        yield from ((name, " ".join(filter(None, words))) for name in names)
        ends = re.fullmatch(r"-{3,}", below.strip()) if numpy else indent == 0
        if not match or ends or indent < (margin or 0):
            return
        names = [name.strip().lstrip("*") for name in match["names"].split(",")]
        words = [] if numpy else [match["text"] or ""]


def parameters_of(constructor: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """Return the parameters by name, or None if the signature is not available."""
    try:
        own = dict(inspect.signature(constructor).parameters)
    except (TypeError, ValueError):
        return None
    if is_module_init(constructor):
        own = {}
    forwarded = forwarded_options(constructor)
    if forwarded:
        variable, names, base = forwarded
        del own[variable]
        inherited = parameters_of(base) or {}
        own |= {name: parameter for name, parameter in inherited.items() if name in names - own.keys()}
    method = configuring_method(constructor)
    extra = dict(inspect.signature(method).parameters) if method else {}
    return own | {name: parameter for name, parameter in extra.items() if name not in own and name != "self"}


def forwarded_options(constructor: Callable[..., Any]) -> tuple[str, frozenset[str], type] | None:
    """Return the keyword arguments that a class forwards to the constructor of its base class.

    They are declared as ``**options: Unpack[Options]`` (PEP 692), where ``Options`` is a ``TypedDict``.
    Types, bounds and defaults are those of the base class's parameters with the same names.

    Returns:
        The name of the variable (``options``), the forwarded names, and the base class; None if the
        constructor declares no such options.
    """
    if not inspect.isclass(constructor) or dataclasses.is_dataclass(constructor):
        return None
    owners = [kind for kind in constructor.__mro__ if "__init__" in vars(kind)]
    for name, annotation in hints_of(vars(owners[0])["__init__"]).items():
        if typing.get_origin(annotation) is typing.Unpack and len(owners) > 1:
            (options,) = typing.get_args(annotation)
            return name, frozenset(typing.get_type_hints(options)), owners[1]
    return None


def is_module_init(constructor: Callable[..., Any]) -> bool:
    """Return whether a class inherits the constructor of ``torch.nn.Module``.

    Its signature is ``(*args, **kwargs)``, but it rejects every argument (torch 2.15).
    """
    init = getattr(constructor, "__init__", None)
    return inspect.isclass(constructor) and getattr(init, "__module__", "") == "torch.nn.modules.module"


def configuring_method(constructor: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the method whose arguments a node may give besides the constructor's.

    Runner calls it after construction.
    """
    return getattr(constructor, "configured_by", None) if inspect.isclass(constructor) else None


def named_parameters(parameters: dict[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    """Return the parameters that can be passed by name."""
    return {n: p for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}


def annotations_of(constructor: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotation of each parameter, including bounds.

    Those that cannot be evaluated are omitted.
    """
    function = constructor
    if inspect.isclass(constructor) and not dataclasses.is_dataclass(constructor):
        function = constructor.__init__
    method = configuring_method(constructor)
    extra = typing.get_type_hints(method, include_extras=True) if method else {}
    own = hints_of(inspect.unwrap(function))
    forwarded = forwarded_options(constructor)
    if forwarded:
        variable, names, base = forwarded
        del own[variable]
        own = {name: hint for name, hint in annotations_of(base).items() if name in names} | own
    return {name: hint for name, hint in extra.items() if name != "return"} | own


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (
        Exception
    ):  # a name imported only for type checkers, or an expression that this Python cannot evaluate
        return dict(readable_annotations(function))


def readable_annotations(function: Any) -> typing.Iterator[tuple[str, Any]]:
    for name, annotation in getattr(function, "__annotations__", {}).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            yield from typing.get_type_hints(
                alone, vars(inspect.getmodule(function)), include_extras=True
            ).items()
        except Exception:
            continue


def members(annotation: Any) -> list[Any]:
    """Return the members of a union, after unwrapping ``Annotated``."""
    if typing.get_origin(annotation) is typing.Annotated:
        return members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [m for argument in typing.get_args(annotation) for m in members(argument)]
    return [annotation]
