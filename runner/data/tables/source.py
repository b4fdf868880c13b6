"""The encoded rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from runner.data.split import ArraySource

__all__ = ["TableSource"]


class TableSource(ArraySource):
    """Encoded rows that know their number in the file.

    Args:
        rows: numbers counted from 1, without the header line.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, rows: Sequence[int], label: str) -> None:
        super().__init__(inputs, targets, label)
        self.rows = list(rows)

    def name(self, index: int) -> str:
        return f"{self.label} row {self.rows[index]}"
