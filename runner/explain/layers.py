"""Selection of layers for Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from runner.errors import UserError
from runner.suggest import did_you_mean
from runner.tasks.explanation import ExplainedOutput

__all__ = ["Call", "find_layers", "named_layer", "trace", "used_layers"]


@dataclass
class Call:
    """A call of a module.

    Attributes:
        name: name of the module.
        module: the module.
        outputs: its output.
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
    """Returns a layer of a model by its name.

    Args:
        model: the model.
        name: dotted name, as in ``model.named_modules()``.

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
    model: nn.Module, score: Callable[[Tensor], Tensor], inputs: Tensor, output: ExplainedOutput = "numbers"
) -> list[str]:
    """Returns the names of the layers with the last feature maps before the output; empty without maps.

    For detectors, these are the levels of the pyramid. Otherwise, the last maps larger than one pixel are
    used, unless attention layers follow, as in vision transformers.

    Args:
        model: the model.
        score: ``(N, C, H, W)`` → ``(N,)``.
        inputs: model input, ``(1, C, H, W)``.
        output: form of the model's output; if it consists of maps itself, the input of the last convolution
            is used rather than its output.
    """
    calls, value = trace(model, score, inputs)
    if output == "boxes" and (levels := pyramid(model, calls)):
        return [call.name for call in levels]
    candidates = last_maps(calls, before_the_last=output == "maps")
    if not candidates:
        return []
    maps = [call.maps for call in candidates if call.maps is not None]
    gradients = torch.autograd.grad(value, maps, allow_unused=True)
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
    outputs: Any = next((call.outputs for call in calls if call.module is backbone), {})
    levels = [outputs] if isinstance(outputs, Tensor) else list(outputs.values())
    origins: dict[int, Call] = {}
    for call in calls:
        if call.maps is not None:
            origins.setdefault(id(call.maps), call)
    return [origins[id(maps)] for maps in levels if id(maps) in origins]


def last_maps(calls: list[Call], before_the_last: bool) -> list[Call]:
    """Returns the feature maps of convolutions and of subsequent layers with the same shape."""
    if before_the_last:
        convolutions = [call for call in calls if isinstance(call.module, nn.Conv2d)]
        calls = calls[: convolutions[-1].began] if convolutions else []
    last: list[Call] = []
    for call in calls:
        if call.maps is None:
            continue
        if has_convolution(call.module) or (last and call.maps.shape == last[-1].outputs.shape):
            last.append(call)
    if last and any(is_attention(call.module) for call in calls[calls.index(last[-1]) + 1 :]):
        return []
    return last


def has_convolution(module: nn.Module) -> bool:
    """Returns whether a module is or contains a 2D convolution."""
    return any(isinstance(part, nn.Conv2d) for part in module.modules())


def is_attention(module: nn.Module) -> bool:
    """Returns whether a module is an attention layer, by the name of its class."""
    return "attention" in type(module).__name__.lower()


def used_layers(model: nn.Module, score: Callable[[Tensor], Tensor], inputs: Tensor) -> list[str]:
    """Lists modules with direct parameters in the order of execution."""
    calls, _ = trace(model, score, inputs)
    return list(
        dict.fromkeys(call.name for call in calls if any(True for _ in call.module.parameters(recurse=False)))
    )
