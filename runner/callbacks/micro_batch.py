"""How many samples go through the model at once: found, kept with the checkpoints, and halved when memory
runs out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf

from runner.config.plain import to_yaml
from runner.data.split import Split
from runner.distributed.collectives import all_gather
from runner.distributed.find_micro_batch import GIB, fitting_size, measure_need
from runner.distributed.memory import is_out_of_memory
from runner.distributed.micro_batching import MicroBatching
from runner.errors import UserError
from runner.report import console
from runner.run.files import read_json, write_json, write_text

__all__ = ["PassSize"]

AUTO = "auto"
CAP = "micro_batch.json"
TRIED = 4
"""Samples, of which a pass shows what a sample takes."""


class PassSize(pl.Callback):
    """Keeps the size with the state of the training, so that a resumed run takes the same passes.

    Args:
        hardware: the config's node.
    """

    def __init__(self, hardware: dict[str, Any]) -> None:
        self.hardware = hardware
        self.asked = hardware.get("micro_batch")
        self._passes: MicroBatching | None = None
        self._loaded: dict[str, Any] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._passes = getattr(trainer.strategy, "passes", None)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._passes is None:
            return
        if self.asked == AUTO:
            self.asked = self._passes.size = self.find(trainer)
            self.write(trainer)
        if self._loaded is not None and self._loaded["asked"] == self.asked:
            self._passes.size = self._loaded["size"]
        least = read_json(Path(trainer.default_root_dir) / CAP, None)
        if (
            least is not None
        ):  # an attempt of several ranks ran out of memory where it could not take the step back
            self._passes.size = min(least, self._passes.size or least)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Several ranks cannot always take a step back, nor can the later batches of an update be: the next
        attempt has half as many samples at once.
        """
        passes, could = self._passes, trainer.world_size == 1 and trainer.accumulate_grad_batches == 1
        if could or passes is None or not passes.halves or not is_out_of_memory(exception):
            return
        now = passes.size or max(1, trainer.datamodule.batch_size // trainer.world_size)
        write_json(Path(trainer.default_root_dir) / CAP, max(1, now // 2))

    def find(self, trainer: pl.Trainer) -> int | None:
        """The same size on every rank: what fits into the memory of the fullest device.

        Raises:
            UserError: the data are not runner's, so that no batch can be had before the first one.
        """
        data = trainer.datamodule
        split = getattr(data, "splits", {}).get("train")
        if not isinstance(split, Split):
            raise UserError("hardware.micro_batch=auto needs a data module of runner's. Give a number.")
        share = max(1, data.batch_size // trainer.world_size)
        count = min(TRIED, share, len(split))
        batch = trainer.strategy.batch_to_device(split.__getitems__([(0, place) for place in range(count)]))
        sharers = 1 if trainer.strategy.root_device.type == "cuda" else max(1, trainer.num_devices)
        need = measure_need(trainer.strategy, batch, count, self.hardware.get("memory_gib"), sharers)
        rooms = all_gather((fitting_size(need, share), need.of(share), need.free))
        sizes = [size for size, _, _ in rooms if size is not None]
        size = min(sizes) if sizes else None
        wanted, free = max(room[1] for room in rooms), min(room[2] for room in rooms)
        size_text = f"all {share} samples of a batch" if size is None else f"{size} of {share} samples"
        console.text(
            f"hardware.micro_batch=auto: {size_text} (all of them would need about {shown(wanted)}; "
            f"{shown(free)} may be filled)."
        )
        return size

    def write(self, trainer: pl.Trainer) -> None:
        """Replaces ``auto`` in the run's config, so that a resumed run uses the same size."""
        self.hardware |= {"micro_batch": self.asked, "memory_gib": None}  # checkpoints keep the config too
        path = Path(trainer.default_root_dir) / "config.yaml"
        if trainer.is_global_zero and path.exists():
            config = OmegaConf.load(path)
            OmegaConf.update(config, "hardware.micro_batch", self.asked, force_add=True)
            OmegaConf.update(config, "hardware.memory_gib", None, force_add=True)
            write_text(path, to_yaml(OmegaConf.to_container(config, resolve=False)), durable=True)

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked, "size": None if self._passes is None else self._passes.size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state


def shown(num_bytes: float) -> str:
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB else f"{num_bytes / 2**20:.1f} MiB"
