"""The only place where a config becomes objects, behind an allow-list.

Every ``_target_`` of the whole tree is checked before the first one is called: by the name that stands in
the config, before anything is imported, and by the object the name leads to, wherever that was defined.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from runner.config.nearest import did_you_mean
from runner.errors import ConfigError, UserError

__all__ = ["allowed_packages", "build", "find_target", "find_targets", "resolve_target"]

ALLOWED = (
    "runner.callbacks", "runner.data", "runner.models", "runner.optim", "runner.regularize", "runner.tasks",
    "torch.nn", "torch.optim",
    "torchvision.models", "torchvision.ops", "torchvision.transforms",
    "pytorch_lightning.Trainer", "pytorch_lightning.callbacks", "pytorch_lightning.profilers",
    "pytorch_lightning.strategies", "pytorch_lightning.trainer.trainer",
    "torchmetrics",
    "timm.create_model", "timm.models", "timm.optim", "timm.loss", "timm.layers",
    "segmentation_models_pytorch.decoders", "segmentation_models_pytorch.losses",
)  # fmt: skip
PUBLIC_NAMES = ("segmentation_models_pytorch",)
"""Packages whose top-level names are only shortcuts: the object they lead to is judged."""

ENVIRONMENT = "RUNNER_ALLOW_PACKAGES"


def allowed_packages() -> tuple[str, ...]:
    """The built-in list and what ``--allow-package`` added; a config cannot extend it."""
    extra = tuple(name for name in os.environ.get(ENVIRONMENT, "").split(",") if name)
    return ALLOWED + extra


def is_below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def users_module(name: str) -> bool:
    """Whether the module is the user's own: its file lies in the working directory."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return False
    spec = PathFinder.find_spec(top, [os.getcwd()])
    if spec is None or top == "runner":
        return False
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    elsewhere = PathFinder.find_spec(top, [entry for entry in sys.path if entry not in ("", os.getcwd())])
    return elsewhere is None


def refused(target: str, why: str) -> ConfigError:
    return ConfigError(
        f"_target_ {target!r} is not allowed: {why}. A config may construct torch.nn, torch.optim, torchvision, "
        "torchmetrics, timm, segmentation-models-pytorch and runner's own parts, and code of yours in the working "
        "directory; `--allow-package NAME` allows another package."
    )


def resolve_target(target: Any) -> Callable[..., Any]:
    """The constructor a ``_target_`` names.

    Raises:
        ConfigError: it is not on the allow-list, does not exist, or is no class or function.
    """
    if not isinstance(target, str):
        raise ConfigError(f"_target_ must be a dotted name, got {target!r}.")
    allowed = allowed_packages()
    own = users_module(target)
    if not own and not is_below(target, allowed + PUBLIC_NAMES):
        raise refused(target, "it is outside the allowed packages")
    found = locate(target)
    if not (inspect.isclass(found) or inspect.isfunction(found) or inspect.isbuiltin(found)):
        raise refused(target, f"it leads to {type(found).__name__!r}, neither a class nor a function")
    if "." in found.__qualname__ and not inspect.isclass(found):
        raise refused(target, "it is a method")
    module = found.__module__ or ""
    if not is_below(module, allowed) and not is_below(f"{module}.{found.__name__}", allowed):
        if not (own and users_module(module)):
            raise refused(target, f"it leads to {module}.{found.__qualname__}")
    return found


def locate(target: str) -> Any:
    """Imports the longest module of the dotted name and follows the rest as attributes."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:length])
        try:
            value = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name and (name == error.name or name.startswith(error.name + ".")):
                continue
            raise ConfigError(f"_target_ {target!r}: importing {name} failed: {error}.") from error
        except Exception as error:
            raise ConfigError(
                f"_target_ {target!r}: importing {name} failed: {type(error).__name__}: {error}."
            ) from error
        for attribute in parts[length:]:
            if not hasattr(value, attribute):
                public = [n for n in dir(value) if not n.startswith("_")]
                hint = did_you_mean(attribute, public)
                raise ConfigError(f"_target_ {target!r}: {name} has no {attribute!r}. {hint}")
            value = getattr(value, attribute)
        return value
    raise ConfigError(f"_target_ {target!r}: no module {parts[0]!r} can be imported.")


def find_targets(node: Any, path: str = "") -> Iterator[tuple[str, dict]]:
    """``(dotted path, node)`` of every mapping with ``_target_`` in plain containers, outermost first."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from find_targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from find_targets(value, f"{path}[{position}]")


def find_target(node: Any) -> str | None:
    return node.get("_target_") if isinstance(node, dict) else None


def build(node: Any, /, **extra: Any) -> Any:
    """Constructs a node given as plain containers; ``None`` stays None.

    Args:
        node: a mapping with ``_target_``; nested ones are built first.
        extra: further keyword arguments of the outermost constructor.

    Raises:
        ConfigError: a target is refused, or a constructor refuses its arguments with a ValueError or TypeError.
    """
    if node is None:
        return None
    for _, inner in find_targets(node):
        resolve_target(inner["_target_"])
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    try:
        return instantiate({"_convert_": "all", **node}, **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, ValueError | TypeError | KeyError):
            raise ConfigError(f"{node['_target_']} refused its arguments: {cause}") from cause
        raise cause if cause is not None else error from None
