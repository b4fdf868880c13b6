"""Fingerprints of content: two data sets with the same one are the same data."""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

__all__ = ["digest_files", "digest_tensors"]


def digest_tensors(*tensors: Tensor) -> str:
    """BLAKE2 of types, shapes and values, in hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().cpu().numpy().data)
    return digest.hexdigest()


def digest_files(*paths: str | Path) -> str:
    """BLAKE2 of the files' bytes, in hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()
