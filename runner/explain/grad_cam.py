"""Grad-CAM and Grad-CAM++: where the maps of a convolutional layer speak for an answer.

captum's ``LayerGradCam`` takes one layer, of which each answer must depend: a detector has a pyramid of maps, of which a
box looks at one or two. On a single layer the maps here are captum's (a test holds that).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from runner.errors import UserError

__all__ = ["grad_cam", "grad_cam_plus_plus"]

Score = Callable[[Tensor], Tensor]
Size = tuple[int, int]


def grad_cam(
    score: Score, layers: Sequence[nn.Module], inputs: Tensor, by_place: bool = False, covered: Size | None = None
) -> Tensor:
    """Selvaraju et al. 2016, arXiv:1610.02391: maps weighted by the mean of their gradient.

    Args:
        score: ``(1, C, H, W)`` → ``(1,)``.
        layers: their maps, brought to the input's size, are added up.
        by_place: each place of a map is weighted by its own gradient, as in HiResCAM (Draelos and Carin 2020,
            arXiv:2011.08891) and, of detectors, ODAM (Zhao and Chan 2023, arXiv:2304.06354). A box hangs on a few
            places, and weights of whole maps would highlight everything that looks like them.
        covered: height and width of what the maps show, in pixels of the input, of which what lies beyond the input is
            cut off: see ``padded_size``. None is the input itself.

    Returns:
        ``(H, W)``, nowhere below zero.

    Raises:
        UserError: a layer gives no maps.
    """
    parts = []
    for maps, gradients in seen(score, layers, inputs):
        weights = gradients if by_place else gradients.mean((2, 3), keepdim=True)
        parts.append((weights * maps).sum(1).relu())
    return total(parts, inputs, covered)


def grad_cam_plus_plus(
    score: Score, layers: Sequence[nn.Module], inputs: Tensor, by_place: bool = False, covered: Size | None = None
) -> Tensor:
    """Chattopadhyay et al. 2018, arXiv:1710.11063: positive gradients, weighted by pixel, so that several things of a
    class, and all of a thing, light up. The higher derivatives are those of the exponential of the score (eq. 19).

    Takes, gives and raises what ``grad_cam`` does.
    """
    return total([plus_plus(*pair, by_place) for pair in seen(score, layers, inputs)], inputs, covered)


def plus_plus(maps: Tensor, gradients: Tensor, by_place: bool = False) -> Tensor:
    """``(1, K, h, w)`` each → ``(1, h, w)``."""
    square, cube = gradients**2, gradients**3
    below = 2 * square + cube * maps.sum((2, 3), keepdim=True)
    shares = torch.where(below != 0, square / torch.where(below != 0, below, 1.0), 0.0)
    weights = shares * gradients.relu()
    weights = weights if by_place else weights.sum((2, 3), keepdim=True)
    return (weights * maps).sum(1).relu()


def total(parts: Sequence[Tensor], inputs: Tensor, covered: Size | None) -> Tensor:
    """Maps ``(1, h, w)`` of any size, added up at the size of the inputs."""
    height, width = inputs.shape[-2:]
    found = inputs.new_zeros((height, width))
    for part in parts:
        whole = interpolate(part[None].float(), size=covered or (height, width), mode="bilinear")[0, 0]
        found = found + whole[:height, :width]
    return found.detach()


def seen(score: Score, layers: Sequence[nn.Module], inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What layers put out, at each of their calls, and the gradient of the score with respect to it; without those
    that it does not depend on."""
    kept: list[Tensor] = []

    def keep(module: nn.Module, given: tuple, maps: Tensor) -> None:
        if not isinstance(maps, Tensor) or maps.dim() != 4:
            shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
            raise UserError(f"--layer: it puts out {shape}; Grad-CAM wants maps of shape (N, channels, height, width).")
        kept.append(maps)

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        value = score(inputs.detach().clone().requires_grad_()).sum()
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(value, kept, allow_unused=True)
    return [(maps.detach(), part) for maps, part in zip(kept, gradients, strict=True) if part is not None]
