"""Reading of weights files without executing code from them."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from runner.errors import WeightsError

__all__ = ["read_weights"]

PICKLED = (".pt", ".pth", ".ckpt", ".bin")
NESTED_KEYS = ("state_dict", "model_state_dict", "model", "module", "weights")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads the tensors of a ``.safetensors``, ``.pt``, ``.pth``, ``.ckpt`` or ``.bin`` file by name.

    State dicts nested in a checkpoint (under ``state_dict`` or similar keys) are found automatically.

    Raises:
        WeightsError: the file does not exist, has another format, is corrupt, would execute code, or contains no
            tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(_absent(path))
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path, device="cpu")
        except (safetensors.SafetensorError, OSError) as error:
            raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
    if path.suffix in PICKLED:
        return _find_tensors(_load_pickled(path), path)
    raise WeightsError(
        f"{path}: weights are expected in .safetensors, {', '.join(PICKLED)}; not {path.suffix!r}."
    )


def _load_pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # warnings about the pickle protocol are irrelevant to users
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise WeightsError(
                f"{path} contains more than tensors: loading it would run {named[1]}, so it is rejected. "
                "If you trust the file, save only its state_dict(), preferably as .safetensors."
            ) from error
        raise WeightsError(f"{path} is corrupt, or not a PyTorch weights file.") from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is corrupt, or not a PyTorch weights file.") from error


def _find_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for key in NESTED_KEYS:
            if isinstance(content.get(key), Mapping):
                return _find_tensors(content[key], path)
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        content_type = (
            f"a mapping with the keys {', '.join(map(str, list(content)[:8]))}"
            if content
            else "an empty mapping"
        )
    else:
        content_type = f"a {type(content).__name__}"
    raise WeightsError(
        f"{path} contains {content_type}; expected a state dict (names and tensors), "
        f"at the top level or under one of: {', '.join(NESTED_KEYS)}."
    )


def _absent(path: Path) -> str:
    if path.is_dir():
        files = sorted(file.name for file in path.iterdir() if file.suffix in (".safetensors", *PICKLED))
        return f"weights={path} is a folder; a file was expected. In it: {', '.join(files) or 'no weights file'}."
    siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, siblings, n=3)
    return f"No such weights file: {path}." + (f" Similar files: {', '.join(near)}." if near else "")
