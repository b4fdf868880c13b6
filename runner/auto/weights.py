"""Finds files of ImageNet weights on this machine and recognizes them by name and digest."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

__all__ = ["WEIGHTS_VARIABLE", "WeightsFile", "find_weights", "search_path"]

WEIGHTS_VARIABLE = "RUNNER_WEIGHTS"
"""Environment variable with further folders of weights, separated like ``PATH``."""

NAME = re.compile(
    r"(?P<model>[a-z][a-z0-9_]*?)[-.](?:[\w.]+-)?(?P<digest>[0-9a-f]{8})\.(?:pth|pt|safetensors)"
)
"""torchvision's file names: the model, and the first eight digits of the file's SHA-256."""


class WeightsFile(NamedTuple):
    """A file of ImageNet weights.

    Attributes:
        model: the name of the model in torchvision.
        path: the file.
    """

    model: str
    path: Path


def search_path() -> list[Path]:
    """Return the folders that are searched, in order.

    These are ``./weights``, those in ``RUNNER_WEIGHTS``, and the cache of ``torch.hub``.
    """
    from torch.hub import get_dir

    folders = os.environ.get(WEIGHTS_VARIABLE, "").split(os.pathsep)
    named = [Path(folder).expanduser() for folder in folders if folder]
    return [Path("weights"), *named, Path(get_dir()) / "checkpoints"]


def find_weights(models: set[str] | frozenset[str]) -> dict[str, WeightsFile]:
    """Return a file of weights for each model that has one; the first folder of the search path wins.

    A file whose content does not have the digest of its name is ignored.

    Args:
        models: names of models in torchvision.
    """
    files: dict[str, WeightsFile] = {}
    for folder in search_path():
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            match = NAME.fullmatch(path.name)
            if match is None or match["model"] not in models or match["model"] in files:
                continue
            if digest_of(path).startswith(match["digest"]):
                files[match["model"]] = WeightsFile(match["model"], path)
    return files


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
