"""The metrics of single classes as a table with a row for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runner.report.format import number

__all__ = ["class_table", "is_class_metric"]

SUFFIX = "_class"


def is_class_metric(name: str) -> bool:
    """Return whether a metric is that of a single class, such as ``f1_class/cat``."""
    kind, slash, _ = name.partition("/")
    return bool(slash) and kind.endswith(SUFFIX)


def class_table(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Return the headers and rows of the table; both are empty without metrics of classes.

    Args:
        metrics: split → metric without the split's name → value.
    """
    names = dict.fromkeys(name for values in metrics.values() for name in values if is_class_metric(name))
    kinds = dict.fromkeys(name.partition("/")[0] for name in names)
    classes = dict.fromkeys(name.partition("/")[2] for name in names)
    columns = [(kind, split) for kind in kinds for split in metrics]
    rows = [
        [name, *(number(metrics[split].get(f"{kind}/{name}")) for kind, split in columns)] for name in classes
    ]
    return {"headers": [f"{kind.removesuffix(SUFFIX)} {split}" for kind, split in columns], "rows": rows}
