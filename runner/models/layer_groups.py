"""Groups of a model's layers, from the input to the head."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from runner.errors import UserError
from runner.models.head import head_modules

__all__ = ["layer_groups"]

WANTED = 4
"""Number of groups of the backbone, if the model has that many layers."""


def layer_groups(model: nn.Module, patterns: Sequence[str] | None = None) -> list[list[str]]:
    """Groups the parameter names: the first group is nearest to the input, the last is the head.

    Without patterns, the top-level modules are divided into about four groups of similar size; modules that
    contain most of the model (torchvision's ``features``, the encoder of a segmentation model, a
    transformer's ``blocks``) are expanded first.

    Args:
        model: the model whose parameters are grouped.
        patterns: regular expressions, one per group, starting at the input. A parameter belongs to the first
            pattern found in its name, or to the head if none matches.

    Raises:
        UserError: a pattern matches nothing, or is not a valid regular expression.
    """
    if patterns:
        return by_patterns(model, patterns)
    head = {id(parameter) for module in head_modules(model) for parameter in module.parameters()}
    names = [name for name, _ in model.named_parameters()]
    in_head = [name for name, parameter in model.named_parameters() if id(parameter) in head]
    backbone = [name for name in names if name not in set(in_head)]
    return [*runs(model, backbone), in_head]


def runs(model: nn.Module, names: list[str]) -> list[list[str]]:
    """Divides the names into about four groups at layer boundaries, by depth and number of parameters."""
    layers = with_norms(unfolded(names), {name for name, p in model.named_parameters() if p.ndim <= 1})
    if len(layers) <= WANTED:
        return layers
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes[name] for name in names)
    groups: list[list[str]] = []
    done = 0.0
    for layer in layers:
        # Layers near the input are small, so depth and size are weighted equally.
        weight = 0.5 * sum(sizes[name] for name in layer) / total + 0.5 / len(layers)
        if not groups or done >= len(groups) / min(WANTED, len(layers)) - 1e-9:
            groups.append([])
        groups[-1] += layer
        done += weight
    return groups


def unfolded(names: list[str]) -> list[list[str]]:
    """Groups the names by layer, at the smallest depth of the dotted names that yields enough layers."""
    depth, layers = 1, [names]
    while depth < 6:
        layers = grouped(names, depth)
        largest = max(map(len, layers), default=0)
        if len(layers) >= WANTED and largest <= len(names) / 2:
            break
        depth += 1
    return layers


def with_norms(layers: list[list[str]], vectors: set[str]) -> list[list[str]]:
    """Merges layers that consist of vectors only, which are norms, with the preceding layer."""
    joined: list[list[str]] = []
    for layer in layers:
        if joined and vectors.issuperset(layer):
            joined[-1] += layer
        else:
            joined.append(list(layer))
    return joined


def grouped(names: list[str], depth: int) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(".".join(name.split(".")[:-1][:depth]) or name, []).append(name)
    return list(groups.values())


def by_patterns(model: nn.Module, patterns: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = [[] for _ in (*patterns, "head")]
    try:
        searches = [re.compile(pattern).search for pattern in patterns]
    except re.error as error:
        raise UserError(
            f"transfer.layer_groups: {list(patterns)} contains an invalid regular expression: {error}."
        ) from error
    for name, _ in model.named_parameters():
        index = next((i for i, search in enumerate(searches) if search(name)), len(patterns))
        groups[index].append(name)
    for pattern, group in zip(patterns, groups, strict=False):
        if not group:
            names = [name for name, _ in model.named_parameters()]
            shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            raise UserError(
                f"transfer.layer_groups: {pattern!r} matches no parameter of its own. There are: {shown}."
            )
    if not groups[-1]:
        raise UserError("transfer.layer_groups: the patterns leave no parameter to the head.")
    return groups
