"""Saves and restores the states of all random generators used in training."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["get_random_state", "preserve_random_state", "set_random_state"]


def get_random_state() -> dict[str, Any]:
    """Return the states of torch, its devices, NumPy and Python, as tensors and plain containers.

    A checkpoint that contains them can be loaded weights-only.
    """
    numpy_state: Any = np.random.get_state(legacy=True)  # NumPy declares items as str | ndarray
    name, keys, position, has_gauss, gauss = numpy_state
    version, words, next_gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": [version, torch.tensor(words, dtype=torch.int64), next_gauss],
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the states; devices that do not exist now, or did not exist then, are ignored."""
    torch.set_rng_state(state["torch"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), next_gauss))
    if torch.cuda.is_available():
        for device, device_state in enumerate(state.get("cuda", ())[: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state, device)
    if torch.backends.mps.is_available() and "mps" in state:
        torch.mps.set_rng_state(state["mps"])


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore the states of all generators after the block."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)
