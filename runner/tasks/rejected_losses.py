"""Losses by the kind of their targets, for tasks that reject those of other kinds."""

from __future__ import annotations

from torch import nn

__all__ = ["LOSSES_OF_CLASSES", "LOSSES_OF_NUMBERS", "LOSSES_OF_PROBABILITIES"]

LOSSES_OF_NUMBERS: tuple[type, ...] = (nn.MSELoss, nn.L1Loss, nn.HuberLoss, nn.SmoothL1Loss)
LOSSES_OF_PROBABILITIES: tuple[type, ...] = (nn.BCEWithLogitsLoss, nn.BCELoss)
LOSSES_OF_CLASSES: tuple[type, ...] = (nn.CrossEntropyLoss, nn.NLLLoss)
