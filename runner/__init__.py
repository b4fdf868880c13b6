"""A config-driven experiment runner for deep learning.

From a notebook: ``from runner import train, load_run``. Importing this loads neither torch nor anything
else; the first call does.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.api import (
        compare,
        evaluate,
        explain,
        find_lr,
        load_data,
        load_run,
        predict,
        report,
        resume,
        sweep,
        train,
    )

__all__ = [
    "__version__",
    "compare",
    "evaluate",
    "explain",
    "find_lr",
    "load_data",
    "load_run",
    "predict",
    "report",
    "resume",
    "sweep",
    "train",
]

__version__ = "0.1.0"

PACKAGES = ("explain", "report", "sweep")
"""Functions that share their name with a package, which is therefore callable."""


class CallableModule(ModuleType):
    """A package that calls the function of ``runner.api`` with its name: ``from runner import sweep``."""

    def __call__(self, *arguments: Any, **values: Any) -> Any:
        import runner.api

        return getattr(runner.api, self.__name__.rpartition(".")[2])(*arguments, **values)


def make_callable(name: str) -> None:
    """Make a package callable; called by the package itself.

    Args:
        name: the package's ``__name__``.
    """
    sys.modules[name].__class__ = CallableModule


def __getattr__(name: str) -> Any:
    if name in PACKAGES:
        import importlib

        return importlib.import_module(f"runner.{name}")
    if name in __all__:
        import runner.api

        return getattr(runner.api, name)
    raise AttributeError(f"module 'runner' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
