"""Module dicts whose modules have a common type."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from torch import nn

__all__ = ["TypedModuleDict"]

M = TypeVar("M", bound=nn.Module)


class TypedModuleDict(nn.ModuleDict, Generic[M]):
    """``nn.ModuleDict`` with modules of type M; PyTorch types all of them as ``nn.Module``."""

    def __getitem__(self, key: str) -> M:
        return cast(M, super().__getitem__(key))
