"""Line that states what an image model starts from, and how to start from ImageNet weights instead."""

from __future__ import annotations

import numpy as np

from runner.auto.situation import LARGE_MODELS, MIN_PHOTOGRAPH_SIDE, SMALL_MODELS, Situation
from runner.auto.weights import WEIGHTS_VARIABLE

__all__ = ["starting_weights_line"]

WEIGHTS_KEYS = ("weights", "model.backbone_weights")


def starting_weights_line(situation: Situation) -> str:
    """Return ``starting from …``; empty if the inputs are not images, or the user chose the start.

    Args:
        situation: the situation with the choices of all rules.
    """
    keys = ("weights", "pretrained", "transfer", "model.backbone_weights", "model.pretrained")
    if situation.inputs != "image" or not all(map(situation.is_open, keys)):
        return ""
    file = next((situation.chosen[key] for key in WEIGHTS_KEYS if key in situation.chosen), None)
    if file is not None:
        return f"starting from ImageNet weights ({file})"
    if situation.task in ("detection", "segmentation") and not situation.machine.is_slow:
        return ""  # no rule chooses weights for the models of these tasks on a GPU
    return f"starting from random weights: {reason_for_random(situation)}"


def reason_for_random(situation: Situation) -> str:
    """Return why no ImageNet weights are used, as a phrase."""
    channels, sizes = situation.facts.in_channels, situation.measurements.image_sizes
    if channels != 3:
        return f"ImageNet weights need three channels, and the images have {channels}"
    if sizes is None:
        return "the images are not files of photographs"
    if (side := int(np.median(sizes.min(1)))) < MIN_PHOTOGRAPH_SIDE:
        return f"images of {side} px gain nothing from ImageNet weights"
    model = str(situation.value("model") or situation.composition.choices.get("model"))
    preferred = SMALL_MODELS if situation.machine.is_slow else LARGE_MODELS
    if "model" in situation.composition.chosen_groups and model not in preferred:
        return f"no ImageNet weights are looked for with model={model}"
    if situation.weights:
        names = ", ".join(file.model for file in situation.weights)
        return f"model={model} has no file of ImageNet weights on this machine (those of {names} exist)"
    name = model if model in preferred else preferred[0]
    return (
        f"no ImageNet weights on this machine. Save {url_of(name)} to ./weights or to a folder in "
        f"{WEIGHTS_VARIABLE}"
    )


def url_of(name: str) -> str:
    """Return the address of torchvision's default ImageNet weights of a model."""
    import torchvision

    return str(torchvision.models.get_model_weights(name).DEFAULT.url)
