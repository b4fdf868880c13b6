"""Loading of torchvision's published weights into models that may have another head."""

from __future__ import annotations

import torchvision
from torch import nn

from runner.errors import WeightsError
from runner.models.weights import WeightsReport, fit_weights

__all__ = ["load_torchvision_weights"]


def load_torchvision_weights(model: nn.Module, name: str) -> WeightsReport:
    """Downloads the default weights of torchvision's model ``name``, verifies their hash and loads them.

    Raises:
        WeightsError: the weights cannot be downloaded or do not fit.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        state = weights.get_state_dict(progress=True, check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError) as error:  # RuntimeError: hash mismatch
        raise WeightsError(
            f"The weights {weights} cannot be downloaded from {weights.url} ({error}). "
            "Check the connection, or specify a local file with weights=FILE and pretrained=false."
        ) from error
    return fit_weights(model, state, source=str(weights))
