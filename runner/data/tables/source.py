"""The encoded rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from runner.data.split import ArraySource

__all__ = ["TableSource"]


class TableSource(ArraySource):
    """Encoded rows of a table, named by their number in the file.

    Args:
        inputs: features ``(N, F)``.
        targets: class ids ``(N,)`` or numbers ``(N, K)``.
        rows: row numbers counted from 1, without the header line.
        label: name of the file.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, rows: Sequence[int], label: str) -> None:
        super().__init__(inputs, targets, label)
        self.rows = list(rows)

    def name(self, index: int) -> str:
        return f"{self.label} row {self.rows[index]}"
