"""Signatures of constructors, read from their source files without importing them.

Importing torch and Lightning takes several seconds; shell completion and the check for misspelled keys need
parameter names and enumerated values only. A constructor whose source is not understood has no signature
here, and callers then rely on the imported one (`runner.config.introspect`).
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TypeAlias

__all__ = ["StaticSignature", "static_signature"]

MAX_DEPTH = 12
"""Maximum number of imports and base classes that are followed."""

Definition: TypeAlias = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class StaticParameter:
    """The annotation of a parameter.

    Attributes:
        choices: the strings of its ``Literal`` types.
        names: all names in the annotation and in its aliases, such as ``float`` and ``Ge``.
    """

    choices: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()


Parameters: TypeAlias = dict[str, StaticParameter]


@dataclass(frozen=True)
class StaticSignature:
    """The parameters of a constructor.

    Attributes:
        name: name of the constructor.
        parameters: its parameters by name.
        any_name: whether further names are accepted.
    """

    name: str
    parameters: Parameters = field(default_factory=dict)
    any_name: bool = False


@functools.cache
def static_signature(target: str) -> StaticSignature | None:
    """Return the signature of a constructor; None if its source cannot be found or understood.

    Args:
        target: dotted name of a class or function, as in ``_target_``.
    """
    module, _, name = target.rpartition(".")
    try:
        located = locate(module, name) if module else None
        return None if located is None else signature_of(*located)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def locate(module: str, name: str, depth: int = 0) -> tuple[Definition, str] | None:
    """Return the definition of a name and its module, following ``from … import``."""
    tree = parsed(module)
    if tree is None or depth > MAX_DEPTH:
        return None
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node, module
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return locate(absolute_module(node, module), alias.name, depth + 1)
    return None


def absolute_module(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    path = source_path(module)
    parts = module.split(".")
    package = parts if path is not None and path.name == "__init__.py" else parts[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


@functools.cache
def parsed(module: str) -> ast.Module | None:
    path = source_path(module)
    return None if path is None else ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def source_path(module: str) -> Path | None:
    """Return the source file of a module. Parent packages are not imported."""
    folders = sys.path
    path = None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, folders)
        if spec is None or spec.origin is None:
            return None
        path, folders = Path(spec.origin), list(spec.submodule_search_locations or ())
    return path if path is not None and path.suffix == ".py" else None


def signature_of(node: Definition, module: str, depth: int = 0) -> StaticSignature | None:
    if isinstance(node, ast.FunctionDef):
        return None if is_wrapped(node) else function_signature(node, module, node.name)
    if depth > MAX_DEPTH:
        return None
    signature = constructor_signature(node, module, depth)
    method = method_of(node, "configured_by")
    if signature is None or method is None:
        return signature
    extra = function_signature(method, module, node.name, skip=1)  # see introspect.configuring_method
    return StaticSignature(node.name, extra.parameters | signature.parameters, signature.any_name)


def constructor_signature(node: ast.ClassDef, module: str, depth: int) -> StaticSignature | None:
    init, inherited = method_of(node, "__init__"), base_signature(node, module, depth)
    if init is not None:
        own = function_signature(init, module, node.name, skip=1)
        inner = inherited.parameters if inherited is not None else {}
        configured = configured_names(node, module, inner, depth)
        options = forwarded_names(init, module)
        if not options:
            return StaticSignature(node.name, own.parameters | configured, own.any_name)
        if inherited is None:
            return None
        forwarded = {name: parameter for name, parameter in inner.items() if name in options}
        return StaticSignature(node.name, forwarded | configured | own.parameters)
    own_fields = dataclass_fields(node, module, depth) if is_dataclass(node) else {}
    if inherited is None:
        return StaticSignature(node.name, own_fields) if is_dataclass(node) and not node.bases else None
    return StaticSignature(node.name, inherited.parameters | own_fields, inherited.any_name)


def configured_names(node: ast.ClassDef, module: str, inherited: Parameters, depth: int) -> Parameters:
    """Return the parameters of ``configured_by`` of a base class, which apply to a constructor of its own."""
    for base, base_module in bases_of(node, module):
        method = method_of(base, "configured_by")
        if method is not None:
            return function_signature(method, base_module, base.name, skip=1).parameters
        if depth < MAX_DEPTH and (names := configured_names(base, base_module, inherited, depth + 1)):
            return names
    return {}


def forwarded_names(init: ast.FunctionDef, module: str) -> set[str]:
    """Return the names that ``**options: Unpack[Options]`` forwards to the base class."""
    annotation = init.args.kwarg.annotation if init.args.kwarg is not None else None
    if not isinstance(annotation, ast.Subscript) or not isinstance(annotation.slice, ast.Name):
        return set()
    located = locate(module, annotation.slice.id)
    return set() if located is None else dict_keys(*located)


def dict_keys(node: Definition, module: str) -> set[str]:
    """Return the keys of a ``TypedDict``."""
    if not isinstance(node, ast.ClassDef):
        return set()
    inherited = [dict_keys(base, base_module) for base, base_module in bases_of(node, module)]
    return set(declared_fields(node, module)).union(*inherited)


def method_of(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """Return a method of the class itself, also if it is assigned another name (``name = method``)."""
    for item in node.body:
        if isinstance(item, ast.Assign) and name in [getattr(target, "id", "") for target in item.targets]:
            name = getattr(item.value, "id", name)
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name]
    return methods[0] if methods else None


def declared_fields(node: ast.ClassDef, module: str) -> Parameters:
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
    return {
        item.target.id: parameter_of(item.annotation, module)
        for item in fields
        if isinstance(item.target, ast.Name) and not is_class_variable(item.annotation)
    }


def dataclass_fields(node: ast.ClassDef, module: str, depth: int) -> Parameters:
    """Return the fields of a dataclass and of its bases."""
    if depth > MAX_DEPTH:
        return {}
    fields: Parameters = {}
    for base, base_module in bases_of(node, module):
        fields |= dataclass_fields(base, base_module, depth + 1)
    return fields | (declared_fields(node, module) if is_dataclass(node) else {})


def is_class_variable(annotation: ast.expr) -> bool:
    return "ClassVar" in ast.dump(annotation) or "InitVar" in ast.dump(annotation)


def base_signature(node: ast.ClassDef, module: str, depth: int) -> StaticSignature | None:
    """Return the inherited constructor. Of several, the one whose parameters include those of the others."""
    candidates = [signature_of(base, base_module, depth + 1) for base, base_module in bases_of(node, module)]
    signatures = [signature for signature in candidates if signature is not None]
    widest = max(signatures, key=lambda signature: len(signature.parameters), default=None)
    if widest is None or any(other.parameters.keys() - widest.parameters.keys() for other in signatures):
        return None
    return widest


def bases_of(node: ast.ClassDef, module: str) -> Iterator[tuple[ast.ClassDef, str]]:
    """Yield the definitions of the base classes that are found, and their modules."""
    for base in node.bases:
        name = base.value if isinstance(base, ast.Subscript) else base
        located = locate(module, name.id) if isinstance(name, ast.Name) else None
        if located is not None and isinstance(located[0], ast.ClassDef):
            yield located[0], located[1]


def is_wrapped(node: ast.FunctionDef) -> bool:
    """Return whether a decorator could change the signature."""
    return bool(node.decorator_list)


def is_dataclass(node: ast.ClassDef) -> bool:
    names = [item.func if isinstance(item, ast.Call) else item for item in node.decorator_list]
    return any(isinstance(name, ast.Name) and name.id == "dataclass" for name in names)


def function_signature(node: ast.FunctionDef, module: str, name: str, skip: int = 0) -> StaticSignature:
    arguments = [*node.args.posonlyargs, *node.args.args][skip:] + node.args.kwonlyargs
    parameters = {item.arg: parameter_of(item.annotation, module) for item in arguments}
    return StaticSignature(name, parameters, any_name=node.args.kwarg is not None)


def parameter_of(annotation: ast.expr | None, module: str) -> StaticParameter:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    return StaticParameter(literal_strings(annotation, module), frozenset(names_in(annotation, module)))


def names_in(annotation: ast.expr | None, module: str, depth: int = 0) -> Iterator[str]:
    """Yield the names in an annotation; an alias stands for the names in its value."""
    if annotation is None or depth > MAX_DEPTH:
        return
    for node in ast.walk(annotation):
        if isinstance(node, ast.Attribute):
            yield node.attr
        if isinstance(node, ast.Constant) and node.value is None:
            yield "None"
        if isinstance(node, ast.Name):
            yield node.id
            alias = alias_value(module, node.id)
            if alias is not None:
                yield from names_in(*alias, depth + 1)


def literal_strings(annotation: ast.expr | None, module: str, depth: int = 0) -> tuple[str, ...]:
    """Return the strings of the ``Literal`` types in an annotation, also behind an alias."""
    if annotation is None or depth > MAX_DEPTH:
        return ()
    if isinstance(annotation, ast.BinOp):
        sides = (annotation.left, annotation.right)
        return tuple(text for side in sides for text in literal_strings(side, module, depth + 1))
    if isinstance(annotation, ast.Subscript):
        return _subscript_strings(annotation, module, depth)
    if isinstance(annotation, ast.Name):
        alias = alias_value(module, annotation.id)
        return () if alias is None else literal_strings(*alias, depth + 1)
    return ()


def _subscript_strings(annotation: ast.Subscript, module: str, depth: int) -> tuple[str, ...]:
    name = annotation.value
    kind = name.id if isinstance(name, ast.Name) else name.attr if isinstance(name, ast.Attribute) else ""
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if kind == "Literal":
        return tuple(item.value for item in inner
                     if isinstance(item, ast.Constant) and isinstance(item.value, str))  # fmt: skip
    if kind in ("Annotated", "Optional", "Union"):
        parts = inner[:1] if kind == "Annotated" else inner
        return tuple(text for part in parts for text in literal_strings(part, module, depth + 1))
    return ()


def alias_value(module: str, name: str, depth: int = 0) -> tuple[ast.expr, str] | None:
    """Return the value of an alias such as ``Literal["relu", "gelu"]``, and the module that defines it."""
    tree = parsed(module)
    for node in tree.body if tree is not None and depth <= MAX_DEPTH else ():
        if isinstance(node, ast.Assign) and name in [getattr(item, "id", "") for item in node.targets]:
            return node.value, module
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == name and node.value:
            return node.value, module
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return alias_value(absolute_module(node, module), alias.name, depth + 1)
    return None
