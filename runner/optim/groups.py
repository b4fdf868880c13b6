"""Which parameters an optimizer gets, with which weight decay and share of the learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from runner.errors import UserError

__all__ = ["build_optimizer", "parameter_groups", "set_lr_factor"]

LR_FACTOR = "lr_factor"


def set_lr_factor(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """Let the optimizer built next train these at ``factor`` times its learning rate."""
    for parameter in parameters:
        setattr(parameter, LR_FACTOR, factor)


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Trainable parameters, grouped for an optimizer, in the model's own order.

    Norms, biases and whatever else has at most one dimension are not decayed (``weight_decay: 0``), nor
    what the model names in ``no_weight_decay()``, as timm's do. The others take the optimizer's own decay.
    Parameters of another `set_lr_factor` make groups with ``lr_factor``, which `build_optimizer` applies.

    Raises:
        UserError: nothing is trainable.
    """
    exempt = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and name not in exempt
            groups.setdefault((getattr(parameter, LR_FACTOR, 1.0), decays), []).append(parameter)
    if not groups:
        raise UserError(
            f"No parameter of {type(model).__name__} is trainable, so there is nothing to optimize. "
            "Freeze less (transfer=scratch or transfer=finetune)."
        )
    return [
        {"params": parameters, LR_FACTOR: factor} | ({} if decays else {"weight_decay": 0.0})
        for (factor, decays), parameters in groups.items()
    ]


def build_optimizer(factory: Callable[[list[dict[str, Any]]], Optimizer], model: nn.Module) -> Optimizer:
    """``factory`` called with the groups of ``model``; each group's learning rate is its share of the factory's.

    Fused optimizers are told to leave the gradients' unscaling to the trainer, which otherwise refuses to
    clip gradients under mixed precision.

    Raises:
        UserError: nothing is trainable, or the optimizer refuses its settings.
    """
    groups = parameter_groups(model)
    try:
        optimizer = factory(groups)
    except (ValueError, RuntimeError) as error:
        raise UserError(f"The optimizer cannot be built: {error}") from error
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group[LR_FACTOR]
    if getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer._step_supports_amp_scaling = False
    return optimizer
