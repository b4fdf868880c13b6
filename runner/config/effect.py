"""Values that were set and that nothing would read: accepting them would be a lie."""

from __future__ import annotations

from typing import Any

from runner.config.composition import Composition
from runner.config.plain import interpolated_keys

__all__ = ["effect_problems"]

HANDED_ON = ("dropout", "weight_decay", "label_smoothing", "augment")
"""Keys of ``regularization`` that act only where another node refers to them."""


def effect_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    return [
        *regularization_problems(composition, plain),
        *start_problems(composition, plain),
        *tracking_problems(composition, plain),
    ]


def regularization_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """A preset sets all of its values, used or not; one that the user sets has to act."""
    used = interpolated_keys(composition.config)
    values = plain.get("regularization")
    problems = []
    for key in HANDED_ON if isinstance(values, dict) else ():
        place = f"regularization.{key}"
        is_set = any(f"{given}.".startswith(f"{place}.") for given in composition.explicit)
        if not is_set or not values.get(key) or place in used:
            continue
        if composition.resolved:
            problems.append(handed_on(place))
            continue
        users = ", ".join(f"{g}={composition.choices.get(g)}" for g in ("model", "data", "task", "optimizer"))
        problems.append(f"{place} would have no effect: none of {users} uses it. Take it away.")
    return problems


def handed_on(place: str) -> str:
    return (
        f"{place} would have no effect: in the config of a run its value has been handed on already. Set the keys "
        "that took it (model.dropout, optimizer.weight_decay …)."
    )


def start_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    """Pretrained weights that the model has not, or two starts for one model."""
    problems = []
    if plain.get("pretrained") is True and "pretrained" not in interpolated_keys(composition.config):
        if composition.resolved and "pretrained" in composition.explicit:
            problems.append(handed_on("pretrained"))
        elif not composition.resolved:
            problems.append(
                f"pretrained=true would have no effect: model={composition.choices.get('model')} has no pretrained "
                "weights. Take it away, or choose a model that has them (resnet34, mobilenet_v2, timm …)."
            )
    if plain.get("pretrained") is True and plain.get("weights"):
        problems.append("pretrained=true and weights=FILE are two starts for one model; give one of them.")
    return problems


def tracking_problems(composition: Composition, plain: dict[str, Any]) -> list[str]:
    tracking = plain.get("tracking")
    if not isinstance(tracking, dict) or tracking.get("enabled") is not False:
        return []
    set_here = sorted(
        key for key in composition.explicit if key.startswith("tracking.") and key != "tracking.enabled"
    )
    return [
        f"{key} would have no effect: tracking is off. Take it away, or use tracking=mlflow."
        for key in set_here
    ]
