"""A config-driven experiment runner for deep learning.

From a notebook: ``from runner import train, load_run``. Importing this loads neither torch nor anything
else; the first call does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.api import evaluate, load_run, predict, train

__all__ = ["__version__", "evaluate", "load_run", "predict", "train"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        import runner.api

        return getattr(runner.api, name)
    raise AttributeError(f"module 'runner' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
