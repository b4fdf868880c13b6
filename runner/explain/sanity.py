"""Sanity check of an explanation: it must change when the model's weights are randomized.

Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv:1810.03292: cascading randomization.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

__all__ = ["cascade", "groups_from_the_end", "rank_correlation"]

MAX_GROUPS = 24


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; 0 if one of the arrays is constant."""
    first, second = np.ravel(first), np.ravel(second)
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def groups_from_the_end(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Groups layers by common prefixes into at most 24 groups, the last one first.

    Args:
        names: names of modules with parameters in the order of execution, such as ``layer1.0.conv1``.
    """
    names = list(dict.fromkeys(names))
    deepest = max((name.count(".") + 1 for name in names), default=1)
    for depth in range(deepest, 0, -1):
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(".".join(name.split(".")[:depth]), []).append(name)
        if len(groups) <= MAX_GROUPS:
            break
    return list(groups.items())[::-1]


def cascade(
    model: nn.Module, names: Sequence[str], explain: Callable[[], list[np.ndarray]], seed: int = 0
) -> list[tuple[str, float, float]]:
    """Randomizes a model's layers cumulatively from the output to the input, without restoring them.

    Args:
        model: the model.
        names: names of the modules with parameters, in the order of execution.
        explain: returns the attributions of the model in its current state, one array per sample.
        seed: seed of the random weights.

    Returns:
        Name of each group, with mean and standard deviation over the samples of the rank correlation between
        its attributions and those of the trained model.
    """
    trained = explain()
    correlations = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for group, members in groups_from_the_end(names):
            for member in members:
                randomise(model.get_submodule(member))
            pairs = zip(trained, explain(), strict=True)
            values = [rank_correlation(before, now) for before, now in pairs]
            correlations.append((group, float(np.mean(values)), float(np.std(values))))
    return correlations


@torch.no_grad()
def randomise(module: nn.Module) -> None:
    """Reinitializes a module, or shuffles its parameters if it has no ``reset_parameters``."""
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
        return
    for parameter in module.parameters(recurse=False):
        flat = parameter.detach().flatten()
        parameter.copy_(flat[torch.randperm(flat.numel()).to(flat.device)].view_as(parameter))
