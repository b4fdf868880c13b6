"""What only the data knows, as plain numbers: the number of classes, the shape of an input, the counts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = ["Facts"]


@dataclass
class Facts:
    """The facts of a data set, given to constructors by ``${facts:KEY}``.

    Attributes:
        task: the problem it poses: ``classification``, ``regression``, …
        input_shape: shape of one input without the batch, ``(C, H, W)`` or ``(F,)``.
        num_outputs: what a head must put out: classes, or target columns.
        class_names: in the order of their ids; empty when there are no classes.
        class_counts: training samples of each class.
        class_counts_of: what they count, where a sample has no one class: ``boxes``, ``pixels``.
        num_train, num_val, num_test: samples of each split.
        name: what the data set is called.
        source: where it came from: an address, a folder, a package.
        digest: fingerprint of its content.
        extra: whatever else a data module has to tell (``target_mean``, ``feature_names`` …).
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
    def image_size(self) -> int:
        return self.input_shape[-1]

    def get(self, key: str) -> Any:
        """One fact by name.

        Raises:
            KeyError: there is no such fact; the message lists those there are.
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
        """The facts that every data set tells."""
        fixed = [field.name for field in fields(cls) if field.name != "extra"]
        return sorted({*fixed, "num_classes", "in_channels", "in_features", "image_size"})

    def as_dict(self) -> dict[str, Any]:
        """Plain containers, fit for JSON."""
        plain = asdict(self)
        plain["input_shape"] = list(self.input_shape)
        extra = plain.pop("extra")
        return plain | {"in_features": self.in_features, "num_classes": self.num_classes} | extra
