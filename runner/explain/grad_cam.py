"""Grad-CAM and Grad-CAM++.

captum's ``LayerGradCam`` supports a single layer that every prediction must depend on, but a detector has a
pyramid of feature maps, and a box depends on one or two of them. For a single layer, the results equal
captum's (see the tests).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from runner.errors import UserError

__all__ = ["Score", "grad_cam", "grad_cam_plus_plus", "padded_size"]


def padded_size(model: Any, inputs: Tensor) -> tuple[int, int]:
    """Returns the height and width covered by a model's feature maps, in pixels of its inputs.

    Detection and segmentation models pad on the right and at the bottom to a multiple of their stride.

    Args:
        model: the model.
        inputs: ``(1, C, H, W)``.
    """
    height, width = inputs.shape[-2:]
    if isinstance(getattr(model, "transform", None), GeneralizedRCNNTransform):
        with torch.no_grad():
            images, _ = model.transform([inputs[0].detach()])
        (inner_height, inner_width), (outer_height, outer_width) = (
            images.image_sizes[0],
            images.tensors.shape[-2:],
        )
        return round(height * outer_height / inner_height), round(width * outer_width / inner_width)
    if hasattr(model, "missing_pixels"):  # runner.models.segmentation.encoder
        return height + model.missing_pixels(height), width + model.missing_pixels(width)
    return height, width


Score = Callable[[Tensor], Tensor]
Size = tuple[int, int]


def grad_cam(
    score: Score,
    layers: Sequence[nn.Module],
    inputs: Tensor,
    by_location: bool = False,
    covered: Size | None = None,
) -> Tensor:
    """Selvaraju et al. 2016, arXiv:1610.02391: maps weighted by the mean of their gradient.

    Args:
        score: ``(1, C, H, W)`` → ``(1,)``.
        layers: layers whose maps are resized to the input and summed.
        inputs: model input, ``(1, C, H, W)``.
        by_location: weight each location of a map by its own gradient, as in HiResCAM (Draelos and Carin
            2020, arXiv:2011.08891) and, for detectors, ODAM (Zhao and Chan 2023, arXiv:2304.06354). A box
            depends on a few locations, and weights of whole maps would highlight everything that looks
            similar.
        covered: height and width of the region that the maps cover, in pixels of the input, see
            ``padded_size``; the part beyond the input is cropped. None if it equals the input.

    Returns:
        Non-negative map, ``(H, W)``.

    Raises:
        UserError: a layer returns no feature maps.
    """
    parts = []
    for maps, gradients in maps_and_gradients(score, layers, inputs):
        weights = gradients if by_location else gradients.mean((2, 3), keepdim=True)
        parts.append((weights * maps).sum(1).relu())
    return sum_of_maps(parts, inputs, covered)


def grad_cam_plus_plus(
    score: Score,
    layers: Sequence[nn.Module],
    inputs: Tensor,
    by_location: bool = False,
    covered: Size | None = None,
) -> Tensor:
    """Chattopadhyay et al. 2018, arXiv:1710.11063: positive gradients weighted per pixel.

    It highlights several objects of a class and their full extent. The higher derivatives are those of the
    exponential of the score (eq. 19). Return value and errors are those of ``grad_cam``.

    Args:
        score: as for ``grad_cam``.
        layers: as for ``grad_cam``.
        inputs: as for ``grad_cam``.
        by_location: as for ``grad_cam``.
        covered: as for ``grad_cam``.
    """
    pairs = maps_and_gradients(score, layers, inputs)
    return sum_of_maps([plus_plus(*pair, by_location) for pair in pairs], inputs, covered)


def plus_plus(maps: Tensor, gradients: Tensor, by_location: bool = False) -> Tensor:
    """``(1, K, h, w)`` each → ``(1, h, w)``."""
    square, cube = gradients**2, gradients**3
    below = 2 * square + cube * maps.sum((2, 3), keepdim=True)
    shares = torch.where(below != 0, square / torch.where(below != 0, below, 1.0), 0.0)
    weights = shares * gradients.relu()
    weights = weights if by_location else weights.sum((2, 3), keepdim=True)
    return (weights * maps).sum(1).relu()


def sum_of_maps(parts: Sequence[Tensor], inputs: Tensor, covered: Size | None) -> Tensor:
    """Sums maps ``(1, h, w)`` of any size at the size of the inputs."""
    height, width = inputs.shape[-2:]
    total = inputs.new_zeros((height, width))
    for part in parts:
        resized = interpolate(part[None].float(), size=covered or (height, width), mode="bilinear")[0, 0]
        total = total + resized[:height, :width]
    return total.detach()


def maps_and_gradients(
    score: Score, layers: Sequence[nn.Module], inputs: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Returns the output of each call of the layers with the gradient of the score.

    Outputs that the score does not depend on are excluded.

    Raises:
        UserError: a layer returns no feature maps.
    """
    outputs: list[Tensor] = []

    def record(module: nn.Module, arguments: tuple[Any, ...], maps: Tensor) -> None:
        if not isinstance(maps, Tensor) or maps.dim() != 4:
            shape = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
            raise UserError(
                f"--layer: it returns {shape}; Grad-CAM requires maps of shape (N, channels, height, width)."
            )
        outputs.append(maps)

    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        value = score(inputs.detach().clone().requires_grad_()).sum()
    finally:
        for hook in hooks:
            hook.remove()
    gradients = torch.autograd.grad(value, outputs, allow_unused=True)
    return [(maps.detach(), part) for maps, part in zip(outputs, gradients, strict=True) if part is not None]
