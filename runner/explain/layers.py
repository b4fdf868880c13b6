"""Selection of layers for Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.suggest import did_you_mean

__all__ = ["Call", "find_layers", "named_layer", "trace", "used_layers"]


Answer = Literal["numbers", "maps", "boxes"]


@dataclass
class Call:
    """A call of a module.

    Attributes:
        began: number of calls that had finished when this one started.
    """

    name: str
    module: nn.Module
    outputs: Any
    began: int

    @property
    def maps(self) -> Tensor | None:
        """The output, if it consists of feature maps larger than one pixel."""
        is_map = (
            isinstance(self.outputs, Tensor) and self.outputs.dim() == 4 and min(self.outputs.shape[2:]) > 1
        )
        return self.outputs if is_map else None


def named_layer(model: nn.Module, name: str) -> nn.Module:
    """
    Raises:
        UserError: the layer does not exist; the message names the nearest ones.
    """
    modules = {key: module for key, module in model.named_modules() if key}
    if name not in modules:
        near = did_you_mean(name, modules)
        some = [key for key, module in modules.items() if has_convolution(module)]
        hint = near if near.startswith("Did") else f"Some of them: {', '.join(some[-6:])}."
        raise UserError(f"--layer {name}: the model has no such layer. {hint}")
    return modules[name]


def find_layers(
    model: nn.Module, score: Callable[[Tensor], Tensor], inputs: Tensor, answer: Answer = "numbers"
) -> list[str]:
    """Returns the names of the layers with the last feature maps before the output; empty if there are none.

    For detectors, these are the levels of the pyramid. Otherwise, the last maps larger than one pixel are
    used, unless attention layers follow, as in vision transformers.

    Args:
        answer: output of the model; if it consists of maps itself, the input of the last convolution is used
            rather than its output.
    """
    calls, value = trace(model, score, inputs)
    if answer == "boxes" and (levels := pyramid(model, calls)):
        return [call.name for call in levels]
    candidates = last_maps(calls, before_the_last=answer == "maps")
    if not candidates:
        return []
    gradients = torch.autograd.grad(value, [call.maps for call in candidates], allow_unused=True)
    return [call.name for call, part in zip(candidates, gradients, strict=True) if part is not None][-1:]


def trace(model: nn.Module, score: Callable[[Tensor], Tensor], inputs: Tensor) -> tuple[list[Call], Tensor]:
    """Returns all module calls that compute a score, in the order in which they finish, and the score."""
    calls: list[Call] = []
    begun: dict[str, list[int]] = {}
    hooks = []
    for name, module in model.named_modules():
        if name:
            hooks.append(
                module.register_forward_pre_hook(
                    lambda *_, name=name: begun.setdefault(name, []).append(len(calls))
                )
            )
            hooks.append(
                module.register_forward_hook(
                    lambda module, _, outputs, name=name: calls.append(
                        Call(name, module, outputs, begun[name].pop())
                    )
                )
            )
    try:
        return calls, score(inputs.detach().clone().requires_grad_(inputs.is_floating_point())).sum()
    finally:
        for hook in hooks:
            hook.remove()


def pyramid(model: nn.Module, calls: list[Call]) -> list[Call]:
    """Returns the calls that computed the maps passed from a detector's backbone to its heads."""
    backbone = getattr(model, "backbone", None)
    handed = next((call.outputs for call in calls if call.module is backbone), {})
    handed = {"0": handed} if isinstance(handed, Tensor) else handed
    made = {}
    for call in calls:
        if call.maps is not None:
            made.setdefault(id(call.maps), call)
    return [made[id(maps)] for maps in handed.values() if id(maps) in made]


def last_maps(calls: list[Call], before_the_last: bool) -> list[Call]:
    """Returns the feature maps of convolutions and of subsequent layers with the same shape."""
    if before_the_last:
        convolutions = [call for call in calls if isinstance(call.module, nn.Conv2d)]
        calls = calls[: convolutions[-1].began] if convolutions else []
    found: list[Call] = []
    for call in calls:
        if call.maps is None:
            continue
        if has_convolution(call.module) or (found and call.maps.shape == found[-1].maps.shape):
            found.append(call)
    if found and any(is_attention(call.module) for call in calls[calls.index(found[-1]) + 1 :]):
        return []
    return found


def has_convolution(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv2d) for part in module.modules())


def is_attention(module: nn.Module) -> bool:
    return "attention" in type(module).__name__.lower()


def used_layers(model: nn.Module, score: Callable[[Tensor], Tensor], inputs: Tensor) -> list[str]:
    """Lists modules with direct parameters in the order of execution."""
    calls, _ = trace(model, score, inputs)
    return list(
        dict.fromkeys(call.name for call in calls if any(True for _ in call.module.parameters(recurse=False)))
    )
