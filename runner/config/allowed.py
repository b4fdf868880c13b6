"""The allow-list of objects that a config may construct.

Libraries contain functions that run code, read pickles or write files in the same modules as their layers
(``timm.models.load_state_dict(weights_only=False)``, or ``torch.nn.attention``, which imports modules by name).
Membership in an allowed package is therefore not sufficient: a target must also be a *component*, that is, a
subclass of one of a few base classes or a function known to build such an instance.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from runner.config.signature import annotations_of

__all__ = ["ENVIRONMENT", "is_module_of_user", "why_not_imported", "why_refused"]

ENVIRONMENT = "RUNNER_ALLOW_PACKAGES"
"""Environment variable that lists further allowed packages, separated by commas. ``--allow-package`` sets it; a config
cannot."""

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
    "torchmetrics.wrappers": (MODULE,),
    "timm.layers": (MODULE,),
    "timm.loss": (MODULE,),
    "timm.models": (MODULE,),
    "timm.optim": (OPTIMIZER,),
    "segmentation_models_pytorch.decoders": (MODULE,),
    "segmentation_models_pytorch.losses": (MODULE,),
}
"""Package → base classes of the classes in it that may be constructed. The longest matching package name applies.
``torchmetrics`` metrics that load a network (FID, LPIPS, BERTScore …) are excluded."""

TOPS = frozenset(package.partition(".")[0] for package in PARTS)

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
    """Whether a module is the user's own: a file in the working directory that does not shadow another module."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in TOPS:
        return False
    here = PathFinder.find_spec(top, [os.getcwd()])
    if here is None:
        return False
    elsewhere = PathFinder.find_spec(top, [folder for folder in sys.path if not is_here(folder)])
    loaded = getattr(sys.modules.get(top), "__spec__", None)
    return all(other is None or same_file(other, here) for other in (elsewhere, loaded))


def same_file(spec: ModuleSpec, other: ModuleSpec) -> bool:
    """Whether both specs refer to the same file; namespace packages are compared by their search locations."""
    if spec.origin is None or other.origin is None:
        return list(spec.submodule_search_locations or []) == list(other.submodule_search_locations or [])
    return Path(spec.origin).resolve() == Path(other.origin).resolve()


def is_here(folder: str) -> bool:
    return Path(folder).resolve() == Path.cwd().resolve()


def why_refused(target: Any, locate: Locate) -> str | None:
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
    """Whether a function only builds a component: a runner function annotated so, or one in a library's model registry."""
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
