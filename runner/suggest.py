"""Suggests valid names for a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

__all__ = ["SYNONYMS", "did_you_mean", "known_as", "nearest"]


MIN_SIMILARITY = 0.6
"""Minimum similarity of a suggestion; similarities are difflib ratios, 1 for identical names."""
MAX_GAP = 0.12
"""Maximum difference to the similarity of the best suggestion."""


SYNONYMS: dict[str, tuple[str, ...]] = {
    "accelerator": ("hardware.accelerator",),
    "arch": ("model",),
    "architecture": ("model",),
    "batch": ("data.batch_size",),
    "batch_size": ("data.batch_size",),
    "bs": ("data.batch_size",),
    "cpu": ("hardware",),
    "dataset": ("data",),
    "device": ("hardware.accelerator", "hardware"),
    "devices": ("hardware.devices",),
    "dropout": ("regularization.dropout",),
    "early_stopping": ("regularization.early_stopping",),
    "ema": ("regularization.ema",),
    "epochs": ("trainer.max_epochs",),
    "freeze": ("transfer",),
    "gpu": ("hardware",),
    "gpus": ("hardware.devices",),
    "img_size": ("data.image_size",),
    "imgsz": ("data.image_size",),
    "label_smoothing": ("regularization.label_smoothing",),
    "learning_rate": ("optimizer.lr",),
    "logger": ("tracking",),
    "lr": ("optimizer.lr",),
    "max_epochs": ("trainer.max_epochs",),
    "max_steps": ("trainer.max_steps",),
    "name": ("run.name",),
    "network": ("model",),
    "num_epochs": ("trainer.max_epochs",),
    "num_workers": ("data.num_workers",),
    "n_epochs": ("trainer.max_epochs",),
    "opt": ("optimizer",),
    "optim": ("optimizer",),
    "output_dir": ("run.root",),
    "patience": ("regularization.early_stopping.patience",),
    "precision": ("hardware.precision",),
    "random_state": ("seed",),
    "schedule": ("scheduler",),
    "steps": ("trainer.max_steps",),
    "time_limit": ("trainer.max_time",),
    "wd": ("regularization.weight_decay",),
    "weight_decay": ("regularization.weight_decay",),
    "workers": ("data.num_workers",),
}
"""Usual names of settings → their keys."""


def known_as(name: str, valid: Collection[str]) -> list[str]:
    """Return the valid names that a usual name stands for, or that differ in separators only.

    Args:
        name: the name as typed, possibly dotted.
        valid: valid names: whole keys, or the names of one node.
    """
    parent, _, last = name.strip("-").replace("-", "_").lower().rpartition(".")
    keys = SYNONYMS.get(last, ())
    tops = {key.partition(".")[0] for key in valid}
    if not parent:
        whole = [key for key in keys if key in valid or ("." in key and key.partition(".")[0] in tops)]
        if whole:
            return whole
    lasts = [key.rpartition(".")[2] for key in keys if key.rpartition(".")[2] in valid]
    plain = last.replace("_", "")
    return lasts or [other for other in valid if other.replace("_", "").lower() == plain and other != name]


def nearest(name: str, valid: Iterable[str], most: int = 3, dotted: bool = True) -> list[str]:
    """Return valid names that are similar to ``name``, best first.

    Args:
        name: the mistyped name.
        valid: names to choose from.
        most: maximum number of names returned.
        dotted: whether the last part of a dotted name is compared too. False for files, whose extensions are
            the same.
    """
    valid = list(valid)
    if dotted and (known := known_as(name, valid)):
        return known[:most]
    ratios: dict[str, float] = {}
    for candidate in valid:
        last = similarity(name.rpartition(".")[2], candidate.rpartition(".")[2]) if dotted else 0.0
        ratios[candidate] = max(similarity(name, candidate), last)
    best = max(ratios.values(), default=0.0)
    ranked = sorted(ratios, key=lambda candidate: -ratios[candidate])
    return [candidate for candidate in ranked if ratios[candidate] >= max(MIN_SIMILARITY, best - MAX_GAP)][
        :most
    ]


def similarity(name: str, other: str) -> float:
    """Similarity from 0 to 1.

    A name that is a word of the other counts as similar: ``factor``, ``backbone_lr_factor``.
    """
    if name != other and len(name) > 2 and name.lower() in other.lower().split("_"):
        return MIN_SIMILARITY
    matcher = difflib.SequenceMatcher(None, name.lower(), other.lower())
    if matcher.real_quick_ratio() < MIN_SIMILARITY:
        return 0.0
    return matcher.ratio()


def did_you_mean(name: str, valid: Iterable[str], dotted: bool = True) -> str:
    """Return ``Did you mean 'lr'?``, or a list of valid names if none is similar.

    Args:
        name: the mistyped name.
        valid: names to choose from.
        dotted: whether the last part of a dotted name is compared too.
    """
    valid = list(dict.fromkeys(valid))
    similar = nearest(name, valid, dotted=dotted)
    if similar:
        return f"Did you mean {' or '.join(repr(match) for match in similar)}?"
    if not valid:
        return "No names are valid here."
    shown = ", ".join(sorted(valid)[:20])
    return f"Valid: {shown}{' …' if len(valid) > 20 else ''}."
