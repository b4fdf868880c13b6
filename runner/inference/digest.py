"""A fingerprint of what a checkpoint holds: equal only where every bit of every tensor is."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["digests_of", "state_digest"]


def digests_of(checkpoint: str | Path) -> dict[str, str]:
    """SHA-256 of the weights and of the optimizers' state; the file itself also holds times."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return {
        "weights": state_digest(state["state_dict"]),
        "optimizer": state_digest(state.get("optimizer_states", [])),
    }


def state_digest(value: Any) -> str:
    sha = hashlib.sha256()
    add(sha, value)
    return sha.hexdigest()


def add(sha: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        sha.update(f"{value.dtype} {tuple(value.shape)}".encode())
        sha.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            sha.update(str(key).encode())
            add(sha, value[key])
    elif isinstance(value, list | tuple):
        sha.update(f"{len(value)} items".encode())
        for item in value:
            add(sha, item)
    else:
        sha.update(repr(value).encode())
