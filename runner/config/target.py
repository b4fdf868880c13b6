"""Resolves the dotted name in ``_target_`` to a constructor."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

from runner.config.allowed import PARTS, TOPS, is_module_of_user, package_of, why_not_imported, why_refused
from runner.config.nearest import did_you_mean, nearest
from runner.errors import ConfigError

__all__ = ["find_targets", "resolve_target"]


def resolve_target(target: Any) -> Callable[..., Any]:
    """Return the constructor that a ``_target_`` refers to.

    Raises:
        ConfigError: it is not on the allow-list, does not exist, or is not a class or function.
    """
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise ConfigError(f"_target_ must be a dotted name such as torch.nn.Linear, got {target!r}.")
    why = why_not_imported(target)
    if why:
        raise refused(target, why, nearest_package(target))
    constructor = locate(target)
    why = why_refused(constructor, locate)
    if why:
        raise refused(target, why)
    return constructor


def nearest_package(target: str) -> str | None:
    """Return the most similar allowed package, in case the name is mistyped."""
    top, *rest = target.split(".")
    if top not in TOPS:
        own = [name for _, name, _ in pkgutil.iter_modules([os.getcwd()])]
        return next(iter(nearest(top, {*TOPS, *own}, most=1)), None)
    if not rest or package_of(target, PARTS):
        return None
    subpackages = {package.partition(".")[2]: package for package in PARTS if package.startswith(f"{top}.")}
    return next((subpackages[name] for name in nearest(rest[0], subpackages, most=1)), None)


def refused(target: str, why: str, near: str | None = None) -> ConfigError:
    if near:
        return ConfigError(f"_target_ {target!r} is not allowed: {why}. Did you mean {near!r}?")
    return ConfigError(
        f"_target_ {target!r} is not allowed: {why}. A config may refer to models, layers, losses, optimizers, "
        "transforms, metrics and callbacks of torch, torchvision, torchmetrics, timm, segmentation-models-pytorch and "
        "Lightning, runner's own components, and your own code in a file of the working directory. `--allow-package NAME` "
        "allows another package."
    )


def locate(target: str) -> Any:
    """Imports the longest module in a dotted name and looks up the rest as attributes.

    Raises:
        ConfigError: the module or attribute does not exist, or importing it failed.
    """
    parts = target.split(".")
    if is_module_of_user(parts[0]) and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            value = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and f"{name}.".startswith(f"{error.name}."):
                continue
            raise ConfigError(f"_target_ {target!r}: importing {name} failed: {error}.") from error
        except Exception as error:  # the module's own code may raise anything
            raise ConfigError(
                f"_target_ {target!r}: importing {name} failed: {type(error).__name__}: {error}."
            ) from error
        return follow(value, name, parts[length:], target)
    raise ConfigError(f"_target_ {target!r}: no module named {parts[0]!r} is installed.")


def follow(value: Any, name: str, attributes: list[str], target: str) -> Any:
    for attribute in attributes:
        if not hasattr(value, attribute):
            names = [n for n in dir(value) if not n.startswith("_")]
            names += [module.name for module in pkgutil.iter_modules(getattr(value, "__path__", []))]
            raise ConfigError(
                f"_target_ {target!r}: {name} has no {attribute!r}. {did_you_mean(attribute, names)}"
            )
        value, name = getattr(value, attribute), f"{name}.{attribute}"
    return value


def find_targets(node: Any, path: str = "") -> Iterator[tuple[str, dict]]:
    """Yield ``(dotted path, node)`` for every mapping with ``_target_`` in plain containers, outermost first."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from find_targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from find_targets(value, f"{path}[{position}]")
