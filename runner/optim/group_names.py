"""Names of parameter groups, for plots of their learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

__all__ = ["group_names"]


def group_names(groups: Sequence[dict[str, Any]], model: nn.Module) -> dict[str, str]:
    """Return the metric of each logged learning rate and the name of its group.

    A group is named after the modules of its parameters and its learning-rate factor, such as
    ``conv1 … layer4 (× 0.1)``. Groups with the learning rate of the first group are not logged.

    Args:
        groups: the optimizer's parameter groups.
        model: the model whose parameters they contain.
    """
    modules = {id(parameter): _module_name(name) for name, parameter in model.named_parameters()}
    names: dict[str, str] = {}
    factors = [group.get("lr_factor", 1.0) for group in groups]
    for position, factor in enumerate(factors):
        if position and factor == factors[0]:
            continue
        # Groups with the same factor differ in weight decay only.
        alike = [group for group, other in zip(groups, factors, strict=True) if other == factor]
        members = dict.fromkeys(
            modules.get(id(parameter), "") for group in alike for parameter in group["params"]
        )
        key = "train/lr" if position == 0 else f"train/lr_{position}"
        names[key] = _span([name for name in members if name]) + ("" if factor == 1 else f" (× {factor:.3g})")
    return names


def _module_name(parameter: str) -> str:
    """Return the outer module, or two levels within a wrapper: ``backbone.layer1``, ``fc``."""
    parts = parameter.split(".")[:-1]
    return ".".join(parts[:2]) if len(parts) > 2 else ".".join(parts[:1])


def _span(names: list[str]) -> str:
    if not names:
        return "parameters"
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
