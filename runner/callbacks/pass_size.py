"""How many samples go through the model at once: found, kept with the checkpoints, and halved when memory runs out."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from runner.devices.steps import Passes

__all__ = ["PassSize"]


class PassSize(pl.Callback):
    """Keeps the size with the state of the training, so that a resumed run takes the same passes.

    Args:
        config: the run's.
    """

    def __init__(self, config: dict[str, Any]):
        self.config = config
        self.asked = config["hardware"].get("micro_batch")
        self._passes: Passes | None = None
        self._loaded: dict[str, Any] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._passes = getattr(trainer.strategy, "passes", None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._passes is not None and self._loaded is not None and self._loaded["asked"] == self.asked:
            self._passes.size = self._loaded["size"]

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked, "size": None if self._passes is None else self._passes.size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state
