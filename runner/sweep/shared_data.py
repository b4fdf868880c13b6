"""A data set that is set up once, and shared read-only by all trials forked afterwards: the kernel copies no page of it
before a trial writes there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.data.base import DataModule

__all__ = ["SharedData"]


class SharedData:
    """Of the node of a config that most trials have alike."""

    def __init__(self) -> None:
        self._node: dict[str, Any] | None = None
        self._data: DataModule | None = None

    def set_up(self, node: dict[str, Any]) -> None:
        """What is wrong with the data set is each trial's own to find, and to tell."""
        import torch

        from runner.components import make_data

        torch.set_num_threads(1)  # threads that were once started would be missing in a fork
        try:
            data = make_data({"data": node})
            data.prepare_data()
            data.setup("fit")
        except Exception as error:
            print(f"the data set is not shared: {type(error).__name__}: {error}", file=sys.stderr)
            return
        self._node, self._data = node, data

    def of(self, config: dict[str, Any]) -> DataModule | None:
        """For a trial, in its own process; None when it has other data."""
        return self._data if self._node is not None and config["data"] == self._node else None
