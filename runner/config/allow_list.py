"""The allow-list of objects that a config may construct, and the resolution of ``_target_``."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from runner.config.introspect import annotations_of
from runner.errors import ConfigError, Problem
from runner.suggest import did_you_mean, nearest

__all__ = [
    "ENVIRONMENT",
    "constructor_of",
    "find_targets",
    "is_module_of_user",
    "resolve_target",
    "why_not_imported",
    "why_rejected",
]

ENVIRONMENT = "RUNNER_ALLOW_PACKAGES"
"""Environment variable that lists further allowed packages, separated by commas. ``--allow-package`` sets it;
a config cannot."""

MODULE, CALLBACK, OPTIMIZER = "torch.nn.Module", "pytorch_lightning.Callback", "torch.optim.Optimizer"
ANY_CLASS, ANY_CALLABLE = "builtins.object", "collections.abc.Callable"

PARTS: dict[str, tuple[str, ...]] = {
    "runner.callbacks": (CALLBACK,),
    "runner.data": ("pytorch_lightning.LightningDataModule", ANY_CALLABLE),
    "runner.losses": (MODULE,),
    "runner.models": (MODULE,),
    "runner.optim": (OPTIMIZER, "runner.optim.schedule.Schedule"),
    "runner.regularize": (CALLBACK, ANY_CALLABLE),
    "runner.tasks": ("runner.tasks.base.Task",),
    "torch.nn": (MODULE,),
    "torch.optim": (OPTIMIZER, "torch.optim.lr_scheduler.LRScheduler"),
    "torchvision.models": (MODULE,),
    "torchvision.ops": (MODULE,),
    "torchvision.transforms": (ANY_CLASS,),
    "pytorch_lightning.callbacks": (CALLBACK,),
    "pytorch_lightning.profilers": ("pytorch_lightning.profilers.Profiler",),
    "pytorch_lightning.trainer.trainer": ("pytorch_lightning.Trainer",),
    "torchmetrics.aggregation": (MODULE,),
    "torchmetrics.classification": (MODULE,),
    "torchmetrics.collections": (MODULE,),
    "torchmetrics.detection": (MODULE,),
    "torchmetrics.regression": (MODULE,),
    "torchmetrics.segmentation": (MODULE,),
    **{
        f"torchmetrics.text.{name}": (MODULE,)
        for name in ("bleu", "cer", "chrf", "edit", "mer", "sacre_bleu", "ter", "wer", "wil", "wip")
    },
    "torchmetrics.wrappers": (MODULE,),
    "timm.layers": (MODULE,),
    "timm.loss": (MODULE,),
    "timm.models": (MODULE,),
    "timm.optim": (OPTIMIZER,),
    "segmentation_models_pytorch.decoders": (MODULE,),
    "segmentation_models_pytorch.losses": (MODULE,),
}
"""Package → base classes of the classes in it that may be constructed. The longest matching package name
applies. ``torchmetrics`` metrics that load a network (FID, LPIPS, BERTScore …) are excluded."""

TOPS = frozenset(package.partition(".")[0] for package in PARTS)

NO_CODE = frozenset({"conf", "data", "datasets", "mlruns", "multirun", "outputs", "runs", "weights"})
"""Folders of the working directory that hold what others may have made, even if it looks like a package."""

Locate = Callable[[str], Any]


def extra_packages() -> tuple[str, ...]:
    return tuple(name.strip() for name in os.environ.get(ENVIRONMENT, "").split(",") if name.strip())


def package_of(name: str, packages: Iterable[str]) -> str | None:
    """Return the longest of the package names that contains ``name``, or None."""
    return max((p for p in packages if f"{name}.".startswith(f"{p}.")), key=len, default=None)


def why_not_imported(target: str) -> str | None:
    """Return why the modules of a dotted name may not be imported, or None if they may."""
    if package_of(target, extra_packages()) or is_module_of_user(target):
        return None
    shortcut = target.count(".") == 1 and target.partition(".")[0] in TOPS  # pytorch_lightning.Trainer
    if not shortcut and package_of(target, PARTS) is None:
        return "it is outside the allowed packages"
    if any(part.startswith("_") for part in target.split(".")):
        return "it is private"
    return None


def is_module_of_user(name: str) -> bool:
    """Return whether a module is the user's own.

    It is if it is a file in the working directory, or in a package there, that does not shadow another
    module. Folders without ``__init__.py`` are no packages: they may hold data, or runs of others.
    """
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in TOPS or top in NO_CODE:
        return False
    here = PathFinder.find_spec(top, [os.getcwd()])
    if here is None or not is_regular(name, here):
        return False
    elsewhere = PathFinder.find_spec(top, [folder for folder in sys.path if not is_here(folder)])
    loaded = getattr(sys.modules.get(top), "__spec__", None)
    return all(other is None or same_file(other, here) for other in (elsewhere, loaded))


def is_regular(name: str, spec: ModuleSpec) -> bool:
    """Return whether all folders of a dotted name are packages with ``__init__.py``.

    Args:
        name: dotted name of a module, or of an attribute of it.
        spec: the spec of its first part.
    """
    path = spec.submodule_search_locations
    for part in name.split(".")[1:]:
        if path is None or spec.origin is None:
            break
        inner = PathFinder.find_spec(part, list(path))
        if inner is None:  # an attribute
            break
        spec, path = inner, inner.submodule_search_locations
    return spec.origin is not None


def same_file(spec: ModuleSpec, other: ModuleSpec) -> bool:
    """Return whether both specs refer to the same file.

    Namespace packages are compared by their search locations.
    """
    if spec.origin is None or other.origin is None:
        return list(spec.submodule_search_locations or []) == list(other.submodule_search_locations or [])
    return Path(spec.origin).resolve() == Path(other.origin).resolve()


def is_here(folder: str) -> bool:
    return Path(folder).resolve() == Path.cwd().resolve()


def why_rejected(target: Any, locate: Locate) -> str | None:
    """Return why an object may not be constructed, or None if it may.

    Args:
        target: the object that a ``_target_`` refers to.
        locate: resolves the dotted names of the base classes.
    """
    if not (inspect.isclass(target) or inspect.isfunction(target)):
        return f"it refers to a {type(target).__name__}, neither a class nor a function"
    module, name = target.__module__ or "", target.__qualname__
    if not inspect.isclass(target) and "." in name.replace(".<locals>.", ""):
        return "it is a method"
    if package_of(f"{module}.{name}", extra_packages()) or is_module_of_user(module):
        return None
    package = package_of(f"{module}.{name}", PARTS)
    if package is None:
        return f"it refers to {module}.{name}"
    bases = tuple(locate(base) for base in PARTS[package])
    if inspect.isclass(target):
        kinds = " or ".join(base.__name__ for base in bases)
        return None if issubclass(target, bases) else f"{module}.{name} is not a {kinds}"
    return (
        None
        if is_builder(target, bases)
        else f"{module}.{name} is a function that does not build a component"
    )


def is_builder(function: Callable[..., Any], bases: tuple[type, ...]) -> bool:
    """Return whether a function only builds a component.

    These are functions of runner that are annotated so, and those in the model registry of a library.
    """
    top, name = function.__module__.partition(".")[0], function.__name__
    if top == "runner":
        returned = annotations_of(function).get("return")
        return not name.startswith("_") and inspect.isclass(returned) and issubclass(returned, bases)
    if top == "torchvision":
        from torchvision.models import get_model_builder, list_models

        return name in list_models() and get_model_builder(name) is function
    if top == "timm":
        import timm

        return function is timm.create_model or (
            timm.is_model(name) and timm.model_entrypoint(name) is function
        )
    return False


def resolve_target(target: Any) -> Callable[..., Any]:
    """Return the constructor that a ``_target_`` refers to.

    Raises:
        ConfigError: it is not on the allow-list, does not exist, or is not a class or function.
    """
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        text = f"_target_ must be a dotted name such as torch.nn.Linear, got {target!r}."
        raise ConfigError(Problem("_target_", text, "invalid_value"))
    reason = why_not_imported(target)
    if reason:
        raise rejection(target, reason, nearest_package(target))
    constructor: Callable[..., Any] = locate(target)
    reason = why_rejected(constructor, locate)
    if reason:
        raise rejection(target, reason)
    return constructor


def constructor_of(node: Any) -> Callable[..., Any] | None:
    """Return the constructor of a node, or None if it is invalid, which the check of the node reports."""
    if not isinstance(node, dict):
        return None
    try:
        return resolve_target(node.get("_target_"))
    except ConfigError:
        return None


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


def rejection(target: str, reason: str, near: str | None = None) -> ConfigError:
    text = f"_target_ {target!r} is not allowed: {reason}."
    allowed = (
        "A config may refer to models, layers, losses, optimizers, transforms, metrics and callbacks of "
        "torch, torchvision, torchmetrics, timm, segmentation-models-pytorch and Lightning, runner's own "
        "components, and your own code in a file of the working directory or in a package with __init__.py "
        "there. `--allow-package NAME` allows another package."
    )
    return ConfigError(
        Problem("_target_", text, "not_allowed", f"Did you mean {near!r}?" if near else allowed)
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
            text = f"_target_ {target!r}: importing {name} failed: {error}."
            raise ConfigError(Problem("_target_", text, "not_found")) from error
        except Exception as error:  # the module's own code may raise anything
            text = f"_target_ {target!r}: importing {name} failed: {type(error).__name__}: {error}."
            raise ConfigError(Problem("_target_", text, "rejected")) from error
        return follow(value, name, parts[length:], target)
    text = f"_target_ {target!r}: no module named {parts[0]!r} is installed."
    raise ConfigError(Problem("_target_", text, "not_found"))


def follow(value: Any, name: str, attributes: list[str], target: str) -> Any:
    for attribute in attributes:
        if not hasattr(value, attribute):
            names = [n for n in dir(value) if not n.startswith("_")]
            names += [module.name for module in pkgutil.iter_modules(getattr(value, "__path__", []))]
            text = f"_target_ {target!r}: {name} has no {attribute!r}."
            raise ConfigError(Problem("_target_", text, "not_found", did_you_mean(attribute, names)))
        value, name = getattr(value, attribute), f"{name}.{attribute}"
    return value


def find_targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``(dotted path, node)`` for every mapping with ``_target_``, outermost first.

    Args:
        node: plain containers.
        path: dotted path of ``node`` itself.
    """
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from find_targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from find_targets(value, f"{path}[{position}]")
