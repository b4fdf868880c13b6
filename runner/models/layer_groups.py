"""The layers of a model in groups, from the input to the head."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from runner.errors import UserError
from runner.models.head import head_modules

__all__ = ["layer_groups"]

WANTED = 4
"""Groups of the backbone, where the model has that many layers."""


def layer_groups(model: nn.Module, patterns: Sequence[str] | None = None) -> list[list[str]]:
    """Names of parameters, in groups: the first is nearest to the input, the last is the head.

    Without patterns: what the model is made of at its top, unfolded where one part has most of it (torchvision's
    ``features``, the encoder of a segmenter, a transformer's ``blocks``), in about four runs of like size.

    Args:
        patterns: regular expressions, found anywhere in a name, one a group from the input on; the first that matches
            counts. What none of them matches belongs to the head.

    Raises:
        UserError: a pattern matches nothing, or is no regular expression.
    """
    if patterns:
        return by_patterns(model, patterns)
    head = {id(parameter) for module in head_modules(model) for parameter in module.parameters()}
    names = [name for name, _ in model.named_parameters()]
    in_head = [name for name, parameter in model.named_parameters() if id(parameter) in head]
    backbone = [name for name in names if name not in set(in_head)]
    return [*runs(model, backbone), in_head]


def runs(model: nn.Module, names: list[str]) -> list[list[str]]:
    """Cuts the names into about four runs at the borders of layers, by the number of parameters."""
    layers = with_norms(unfolded(names), {name for name, p in model.named_parameters() if p.ndim <= 1})
    if len(layers) <= WANTED:
        return layers
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes[name] for name in names)
    groups: list[list[str]] = []
    done = 0.0
    for layer in layers:
        # The layers near the input are small: a cut by depth and by size, halfway.
        weight = 0.5 * sum(sizes[name] for name in layer) / total + 0.5 / len(layers)
        if not groups or done >= len(groups) / min(WANTED, len(layers)) - 1e-9:
            groups.append([])
        groups[-1] += layer
        done += weight
    return groups


def unfolded(names: list[str]) -> list[list[str]]:
    """Names by layer, in order: as deep in the dotted names as it takes to have enough of them."""
    depth, layers = 1, [names]
    while depth < 6:
        layers = grouped(names, depth)
        largest = max(map(len, layers), default=0)
        if len(layers) >= WANTED and largest <= len(names) / 2:
            break
        depth += 1
    return layers


def with_norms(layers: list[list[str]], vectors: set[str]) -> list[list[str]]:
    """A layer of vectors alone is a norm: it belongs to the layer before it."""
    joined: list[list[str]] = []
    for layer in layers:
        if joined and vectors.issuperset(layer):
            joined[-1] += layer
        else:
            joined.append(list(layer))
    return joined


def grouped(names: list[str], depth: int) -> list[list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(".".join(name.split(".")[:-1][:depth]) or name, []).append(name)
    return list(found.values())


def by_patterns(model: nn.Module, patterns: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = [[] for _ in (*patterns, "head")]
    try:
        searches = [re.compile(pattern).search for pattern in patterns]
    except re.error as error:
        raise UserError(f"transfer.layer_groups: {list(patterns)} holds no regular expression: {error}.") from error
    for name, _ in model.named_parameters():
        place = next((i for i, search in enumerate(searches) if search(name)), len(patterns))
        groups[place].append(name)
    for pattern, group in zip(patterns, groups, strict=False):
        if not group:
            names = [name for name, _ in model.named_parameters()]
            shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
            raise UserError(f"transfer.layer_groups: {pattern!r} matches no parameter of its own. There are: {shown}.")
    if not groups[-1]:
        raise UserError("transfer.layer_groups: the patterns leave no parameter to the head.")
    return groups
