"""Early stopping whose patience may be changed while a run is under way."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import callbacks

__all__ = ["EarlyStopping"]


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, but a checkpoint brings how long it has waited, and not how long it is to wait."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict | {"patience": self.patience})
