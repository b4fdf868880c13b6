"""The blocks that a network repeats: residual blocks, transformer layers."""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase

from torch import nn

__all__ = ["find_blocks"]

LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def find_blocks(model: nn.Module, pattern: str | None = None) -> dict[str, nn.Module]:
    """Blocks by name; no block contains another.

    Args:
        pattern: a pattern of names from ``model.named_modules()``, with ``*`` and ``?``. Without it, blocks
            are those children of module lists that have children and parameters and whose class occurs more
            than once; of nested candidates the outermost is taken.
    """
    if pattern is not None:
        found = {
            name: module for name, module in model.named_modules() if name and fnmatchcase(name, pattern)
        }
        return outermost(
            {name: module for name, module in found.items() if not isinstance(module, LISTS[1:])}
        )
    inside = {
        f"{name}.{key}" if name else key: part
        for name, module in model.named_modules()
        if isinstance(module, LISTS)
        for key, part in module.named_children()
        if is_block(part)
    }
    kinds = Counter(type(part) for part in inside.values())
    return outermost({name: part for name, part in inside.items() if kinds[type(part)] > 1})


def is_block(module: nn.Module) -> bool:
    has_parts = any(True for _ in module.children())
    return has_parts and not isinstance(module, LISTS) and any(True for _ in module.parameters())


def outermost(found: dict[str, nn.Module]) -> dict[str, nn.Module]:
    return {
        name: module
        for name, module in found.items()
        if not any(name.startswith(f"{other}.") for other in found if other != name)
    }
