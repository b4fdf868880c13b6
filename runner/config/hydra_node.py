"""Checks Hydra's own node, from which Hydra builds its launcher, sweeper, callbacks and log handlers with ``-m``.

Hydra builds these itself, outside runner's allow-list, so the targets in this node are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

__all__ = ["hydra_problems"]

HYDRAS_OWN = ("hydra.", "hydra_plugins.", "logging.", "colorlog.")

CONSTRUCTORS = ("_target_", "()", "class")
"""Keys whose values are constructors: Hydra's, and those of ``logging.config``."""


def hydra_problems(hydra: DictConfig) -> list[str]:
    """Return a message for each target that belongs neither to Hydra nor to logging."""
    node = OmegaConf.to_container(hydra, resolve=False)
    return [
        f"{place}={target!r} is not allowed: Hydra's node may only refer to Hydra, its plug-ins and logging."
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
