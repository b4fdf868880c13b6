"""The names of split folders, shared by every kind of data that is stored in folders."""

from __future__ import annotations

__all__ = ["SPLIT_NAMES", "split_of_folder"]

SPLIT_NAMES = {
    "train": ("train", "training", "train_set", "training_set", "train_data", "training_data"),
    "val": (
        "val",
        "valid",
        "validation",
        "val_set",
        "validation_set",
        "val_data",
        "validation_data",
        "dev",
        "eval",
    ),
    "test": ("test", "testing", "test_set", "test_data"),
}
SPLIT_BY_NAME = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def split_of_folder(name: str) -> str | None:
    """Returns the split that a folder's name stands for, ``train``, ``val`` or ``test``, or None. Case is ignored, and
    ``-`` and spaces are read as ``_``."""
    return SPLIT_BY_NAME.get(name.strip().lower().replace("-", "_").replace(" ", "_"))
