"""Finds the repeated blocks of a network, such as residual blocks and transformer layers."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

from torch import nn

__all__ = ["find_blocks"]

LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def find_blocks(model: nn.Module, pattern: str | None = None) -> dict[str, nn.Module]:
    """Return the blocks by name; no block contains another.

    Args:
        model: the network.
        pattern: a pattern of names from ``model.named_modules()``, with ``*`` and ``?``. If None, the blocks
            are those children of module lists that have children and parameters and whose class occurs more
            than once; of nested candidates the outermost is taken.
    """
    if pattern is not None:
        matches = {
            name: module
            for name, module in model.named_modules()
            if name and fnmatchcase(name, pattern) and not isinstance(module, LISTS[1:])
        }
        return outermost(matches)
    candidates = {
        f"{name}.{key}" if name else key: part
        for name, module in model.named_modules()
        if isinstance(module, LISTS)
        for key, part in module.named_children()
        if is_block(part)
    }
    counts = Counter(type(part) for part in candidates.values())
    return outermost({name: part for name, part in candidates.items() if counts[type(part)] > 1})


def is_block(module: nn.Module) -> bool:
    """Return whether a module has children and parameters and is not itself a module list."""
    has_children = any(True for _ in module.children())
    return has_children and not isinstance(module, LISTS) and any(True for _ in module.parameters())


def outermost(modules: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Remove the modules that are inside another one, by name."""
    return {
        name: module
        for name, module in modules.items()
        if not any(name.startswith(f"{other}.") for other in modules if other != name)
    }
