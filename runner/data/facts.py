"""Facts of a data set as plain values, and fingerprints of its content."""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from torch import Tensor

__all__ = ["Facts", "digest_files", "digest_tensors"]


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


@dataclass
class Facts:
    """The facts of a data set, given to constructors by ``${facts:KEY}``.

    Attributes:
        task: kind of task: ``classification``, ``regression``, …
        input_shape: shape of one input without the batch, ``(C, H, W)`` or ``(F,)``.
        num_outputs: number of model outputs: classes, or target columns.
        class_names: in the order of their ids; empty when there are no classes.
        class_counts: training samples of each class.
        class_counts_of: the counted unit if a sample has more than one class: ``boxes``, ``pixels``.
        num_train, num_val, num_test: samples of each split.
        name: name of the data set.
        source: origin of the data: a URL, a folder, a package.
        digest: fingerprint of the content.
        extra: further facts of the data module (``target_mean``, ``feature_names`` …).
    """

    task: str
    input_shape: tuple[int, ...]
    num_outputs: int
    class_names: list[str] = field(default_factory=list)
    class_counts: list[int] = field(default_factory=list)
    num_train: int = 0
    num_val: int = 0
    num_test: int = 0
    name: str = ""
    source: str = ""
    digest: str = ""
    class_counts_of: str = "samples"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        return self.input_shape[0]

    @property
    def in_features(self) -> int:
        return math.prod(self.input_shape)

    @property
    def num_numeric(self) -> int:
        """Number of the features, the first ones, that hold numbers; the others are 0 or 1."""
        return int(self.extra.get("num_numeric", self.in_features))

    @property
    def image_size(self) -> int:
        return self.input_shape[-1]

    def get(self, key: str) -> Any:
        """Returns a fact by name.

        Raises:
            KeyError: the fact does not exist; the message lists the available ones.
        """
        if not key.startswith("_") and key not in ("get", "as_dict", "names") and hasattr(self, key):
            value = getattr(self, key)
            return list(value) if isinstance(value, tuple) else value
        if key in self.extra:
            return self.extra[key]
        raise KeyError(key)

    def names(self) -> list[str]:
        return sorted({*self.common_names(), *self.extra})

    @classmethod
    def common_names(cls) -> list[str]:
        """Returns the names of the facts that every data set provides."""
        fixed = [field.name for field in fields(cls) if field.name != "extra"]
        return sorted({*fixed, "num_classes", "in_channels", "in_features", "num_numeric", "image_size"})

    def as_dict(self) -> dict[str, Any]:
        """Returns plain containers that can be serialized as JSON."""
        plain = asdict(self)
        plain["input_shape"] = list(self.input_shape)
        extra = plain.pop("extra")
        return plain | {"in_features": self.in_features, "num_classes": self.num_classes} | extra
