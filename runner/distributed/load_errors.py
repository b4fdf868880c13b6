"""Errors of reading checkpoints, described without PyTorch's advice to load them unsafely."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch

__all__ = ["LOAD_ERRORS", "describe_unloadable", "load_reason"]

LOAD_ERRORS = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    pickle.UnpicklingError,
)
"""Errors that ``torch.load`` of PyTorch 2.15 raises for damaged files."""
REQUIRED = ("state_dict",)


def load_reason(error: BaseException) -> str:
    """Return why a checkpoint cannot be loaded."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if named:
        return f"it contains more than tensors, and loading it would run {named[1]}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "it states sizes that do not fit into memory"
    return "it is damaged, or no checkpoint of PyTorch"


def describe_unloadable(path: Path) -> str | None:
    """Describe why a checkpoint file cannot be loaded; None if it can be. Tensors are only mapped, not read.

    Sharded checkpoints, which are folders, are checked when they are loaded.
    """
    if path.is_dir():
        return None
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except LOAD_ERRORS as error:
        return f"{path} cannot be loaded: {load_reason(error)}"
    if not isinstance(content, dict):
        return f"{path} cannot be loaded: it is no checkpoint of a run"
    missing = [key for key in REQUIRED if not isinstance(content.get(key), dict)]
    return f"{path} cannot be loaded: it lacks {', '.join(missing)}" if missing else None
