"""Fingerprints of content: data sets with equal fingerprints hold the same data."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

__all__ = ["digest_files", "digest_tensors"]


def digest_tensors(*tensors: Tensor) -> str:
    """Returns the hexadecimal BLAKE2 digest of dtypes, shapes and values."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().cpu().numpy().data)
    return digest.hexdigest()


def digest_files(*paths: str | Path) -> str:
    """Returns the hexadecimal BLAKE2 digest of the files' bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()
