"""Token ids in a file, mapped and not read: it may be larger than memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

__all__ = ["TokenFileDataset"]


class TokenFileDataset(Dataset):
    """
    Args:
        file: of uint16 or uint32, as its suffix says.
    """

    def __init__(self, file: Path):
        self.file = file
        self.kind = np.dtype(file.suffix[1:])
        self.num_tokens = file.stat().st_size // self.kind.itemsize
        self._tokens: np.ndarray | None = None

    @property
    def tokens(self) -> np.ndarray:
        """The whole text."""
        if self._tokens is None:
            self._tokens = np.memmap(self.file, dtype=self.kind, mode="r")
        return self._tokens

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_tokens": None}  # a loader's worker maps the file itself
