"""Parameter groups by the role of each parameter, with weight decay and learning-rate factors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.optim import LBFGS, Muon, Optimizer, SparseAdam

from runner.errors import UserError

__all__ = [
    "build_optimizer",
    "exempt_from_decay",
    "is_weight",
    "mark_groups",
    "parameter_groups",
    "set_lr_factor",
    "weight_names",
]

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

    The role decides, not the number of dimensions. Regardless of shape, these are not weights: biases
    (``bias`` is a word of the name: ``bias_hh_l0``, ``in_proj_bias``, ``relative_position_bias_table``),
    parameters of norms (by type, or by "norm" in the name of the class), and gains, scales and tokens that
    are added or multiplied alone: parameters, of another module than torch's own layers, whose numbers all
    lie along one dimension.

    Args:
        module: the module that owns the parameter.
        name: the name of the parameter in its module.
        parameter: the parameter.
    """
    if "bias" in re.split(r"[_\d]+", name.lower()) or isinstance(module, NORMS):
        return False
    if "norm" in type(module).__name__.lower() and not isinstance(module, LAYERS):
        return False
    if isinstance(module, LAYERS) or (name == "weight" and parameter.ndim > 1):
        return True
    return parameter.numel() > max(parameter.shape, default=1)


def exempt_from_decay(model: nn.Module) -> set[str]:
    """Names of the parameters without weight decay.

    All that are no weights, and what the model, or a part of it, names in ``no_weight_decay()``, as timm's
    do.
    """
    weights = weight_names(model)
    exempt = {name for name, _ in model.named_parameters() if name not in weights}
    for prefix, module in model.named_modules():
        named = module.no_weight_decay() if callable(getattr(module, "no_weight_decay", None)) else ()
        exempt |= {f"{prefix}.{name}" if prefix else name for name in named}
    return exempt


LR_FACTOR = "lr_factor"
OPTIONS = "optimizer_options"


def set_lr_factor(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """Let the optimizer built next train these at ``factor`` times its learning rate."""
    for parameter in parameters:
        setattr(parameter, LR_FACTOR, factor * getattr(parameter, LR_FACTOR, 1.0))


def mark_groups(model: nn.Module, rules: Iterable[Mapping[str, Any]]) -> None:
    """Assigns learning-rate factors and other options to parameters whose names match patterns.

    Args:
        model: the model.
        rules: ``match``, a regular expression found anywhere in a name, with ``lr_factor`` and ``options``;
            the first that matches counts.

    Raises:
        UserError: a rule matches no parameter, or is not a valid regular expression.
    """
    rules = list(rules)
    matched = [0] * len(rules)
    for name, parameter in model.named_parameters():
        for position, rule in enumerate(rules):
            if compiled(rule["match"]).search(name):
                matched[position] += 1
                setattr(parameter, LR_FACTOR, getattr(parameter, LR_FACTOR, 1.0) * rule.get("lr_factor", 1.0))
                setattr(parameter, OPTIONS, dict(rule.get("options") or {}))
                break
    if 0 in matched:
        rule = rules[matched.index(0)]
        names = [name for name, _ in model.named_parameters()]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise UserError(f"parameter_groups: {rule['match']!r} matches no parameter. There are: {shown}.")


def compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UserError(f"parameter_groups: {pattern!r} is no regular expression: {error}.") from error


def parameter_groups(model: nn.Module, sizes: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Trainable parameters, grouped for an optimizer, in the model's own order.

    Biases, norms and gains (`exempt_from_decay`) have ``weight_decay: 0``; weights take the optimizer's own
    decay. Parameters with different `set_lr_factor` values form groups with ``lr_factor``, which
    `build_optimizer` applies.

    Args:
        model: its parameters are grouped.
        sizes: numbers of parameters in the groups of a checkpoint. Runs of format 0 exempted parameters by
            their number of dimensions; if only that rule yields these sizes, it applies.

    Raises:
        UserError: no parameter is trainable.
    """
    groups = groups_without_decay_of(model, exempt_from_decay(model))
    if sizes is not None and sizes_of(groups) != list(sizes):
        former = groups_without_decay_of(model, exempt_in_format_0(model))
        groups = former if sizes_of(former) == list(sizes) else groups
    return groups


def sizes_of(groups: list[dict[str, Any]]) -> list[int]:
    return [len(group["params"]) for group in groups]


def exempt_in_format_0(model: nn.Module) -> set[str]:
    method = getattr(model, "no_weight_decay", None)
    named = method() if callable(method) else ()
    few = {name for name, parameter in model.named_parameters() if parameter.ndim <= 1}
    return few | set(cast(Iterable[str], named))


def groups_without_decay_of(model: nn.Module, exempt: set[str]) -> list[dict[str, Any]]:
    """Groups in which the parameters named in ``exempt`` have no weight decay; see `parameter_groups`."""
    groups: dict[tuple[float, bool, str], list[nn.Parameter]] = {}
    of_their_own: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = name not in exempt
            options = getattr(parameter, OPTIONS, {})
            of_their_own[repr(options)] = options
            key = (getattr(parameter, LR_FACTOR, 1.0), decays, repr(options))
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise UserError(
            f"No parameter of {type(model).__name__} is trainable, so there is nothing to optimize. "
            "Freeze less (transfer=scratch or transfer=finetune)."
        )
    return [
        {"params": parameters, LR_FACTOR: factor}
        | ({} if decays else {"weight_decay": 0.0})
        | of_their_own[options]
        for (factor, decays, options), parameters in groups.items()
    ]


def build_optimizer(
    factory: Callable[[list[dict[str, Any]]], Optimizer],
    model: nn.Module,
    sizes: Sequence[int] | None = None,
) -> Optimizer:
    """``factory`` called with the groups of ``model``.

    Each group's learning rate is its share of the factory's.

    Fused optimizers are configured to leave the unscaling of gradients to the trainer, which otherwise
    rejects gradient clipping with mixed precision.

    Raises:
        UserError: no parameter is trainable, or the optimizer rejects its settings.
    """
    groups = parameter_groups(model, sizes)
    kind = getattr(factory, "func", factory)
    try:
        if kind is LBFGS:
            return factory(cast(Any, one_group(groups)))
        reject_parameters(kind, model, groups)
        optimizer = factory(groups)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"The optimizer cannot be built: {error}") from error
    reject_options(optimizer, groups)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group[LR_FACTOR]
    if getattr(optimizer, "_step_supports_amp_scaling", False):  # private attribute of torch 2.15
        setattr(optimizer, "_step_supports_amp_scaling", False)  # noqa: B010
    return optimizer


def reject_options(optimizer: Optimizer, groups: list[dict[str, Any]]) -> None:
    """Rejects unknown options, except for timm's optimizers.

    Which read group keys that are not among their defaults.

    Raises:
        UserError: a group has an option that the optimizer does not use.
    """
    if type(optimizer).__module__.startswith("timm."):
        return
    known = optimizer.defaults.keys() | {"params", LR_FACTOR}
    without_effect = ("weight_decay", 0.0)  # set for norms and biases of every optimizer
    unknown = dict.fromkeys(
        name
        for group in groups
        for name, value in group.items()
        if name not in known and (name, value) != without_effect
    )
    if unknown:
        raise UserError(
            f"parameter_groups: {type(optimizer).__name__} knows no {', '.join(map(repr, unknown))}. "
            f"Options of a group: {', '.join(sorted(optimizer.defaults))}."
        )


def one_group(groups: list[dict[str, Any]]) -> list[nn.Parameter]:
    """The parameters for LBFGS, which supports neither groups nor weight decay.

    Raises:
        UserError: a group has its own learning rate or options.
    """
    if any(group[LR_FACTOR] != 1.0 or set(group) - {"params", LR_FACTOR, "weight_decay"} for group in groups):
        raise UserError(
            "LBFGS trains all parameters alike: no parameter_groups, no transfer=finetune. Take another "
            "optimizer."
        )
    return [parameter for group in groups for parameter in group["params"]]


def reject_parameters(kind: Any, model: nn.Module, groups: list[dict[str, Any]]) -> None:
    """Rejects parameters that an optimizer cannot train.

    Raises:
        UserError: Muon with parameters that are not matrices; SparseAdam with dense gradients.
    """
    if kind is Muon and any(p.ndim != 2 for group in groups for p in group["params"]):
        raise UserError(
            f"torch.optim.Muon trains matrices only, and {type(model).__name__} has biases, norms or "
            "convolutions. "
            "Take optimizer=muon, timm's, which trains those with AdamW."
        )
    sparse = {
        id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag) and m.sparse
    }
    if kind is SparseAdam and any(id(p) not in sparse for group in groups for p in group["params"]):
        raise UserError(
            "SparseAdam trains sparse gradients only (nn.Embedding(sparse=True)), and "
            f"{type(model).__name__} has "
            "dense ones. Take optimizer=adam."
        )
