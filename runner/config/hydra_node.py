"""Hydra's own node: with ``-m`` Hydra builds its launcher, sweeper, callbacks and log handlers from it.

It does so before and around our runs, and by its own rules; so what a file may put there is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

__all__ = ["hydra_problems"]

HYDRAS_OWN = ("hydra.", "hydra_plugins.", "logging.", "colorlog.")

CONSTRUCTORS = ("_target_", "()", "class")
"""Keys that name something to build: Hydra's, and those of ``logging.config``."""


def hydra_problems(hydra: DictConfig) -> list[str]:
    """Whether it would build anything that is not Hydra's or of the standard library's logging."""
    node = OmegaConf.to_container(hydra, resolve=False)
    return [
        f"{place}={target!r} is not allowed: Hydra's node may name parts of Hydra, its plug-ins and logging only."
        for place, target in constructed(node, "hydra")
        if not isinstance(target, str) or not target.startswith(HYDRAS_OWN)
    ]


def constructed(node: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in CONSTRUCTORS:
                yield f"{place}.{key}", value
            else:
                yield from constructed(value, f"{place}.{key}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from constructed(value, f"{place}[{position}]")
