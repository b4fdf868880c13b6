"""Roles of parameters: weights, and parameters that are exempt from decay, penalties and noise."""

from __future__ import annotations

import re

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

__all__ = ["exempt_from_decay", "is_weight", "weight_names"]

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
LAYERS = (
    nn.Linear,
    _ConvNd,
    nn.Bilinear,
    nn.Embedding,
    nn.EmbeddingBag,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
)
"""Layers whose parameters, except biases, are all weights, even with a single unit or input."""


def weight_names(model: nn.Module) -> set[str]:
    """Names of the parameters that are weights, as in ``named_parameters``."""
    return {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        for name, parameter in module.named_parameters(recurse=False)
        if is_weight(module, name, parameter)
    }


def is_weight(module: nn.Module, name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a weight: kernels, matrices, tables of vectors.

    The role decides, not the number of dimensions. Regardless of shape, these are not weights: biases (``bias``
    is a word of the name: ``bias_hh_l0``, ``in_proj_bias``, ``relative_position_bias_table``), parameters of norms
    (by type, or by "norm" in the name of the class), and gains, scales and tokens that are added or multiplied
    alone: parameters, of another module than torch's own layers, whose numbers all lie along one dimension.

    Args:
        module: that owns the parameter.
        name: of the parameter in its module.
    """
    if "bias" in re.split(r"[_\d]+", name.lower()) or isinstance(module, NORMS):
        return False
    if "norm" in type(module).__name__.lower() and not isinstance(module, LAYERS):
        return False
    if isinstance(module, LAYERS) or (name == "weight" and parameter.ndim > 1):
        return True
    return parameter.numel() > max(parameter.shape, default=1)


def exempt_from_decay(model: nn.Module) -> set[str]:
    """Names of the parameters without weight decay: all that are no weights, and what the model, or a part of it,
    names in ``no_weight_decay()``, as timm's do."""
    weights = weight_names(model)
    exempt = {name for name, _ in model.named_parameters() if name not in weights}
    for prefix, module in model.named_modules():
        named = module.no_weight_decay() if callable(getattr(module, "no_weight_decay", None)) else ()
        exempt |= {f"{prefix}.{name}" if prefix else name for name in named}
    return exempt
