"""The size of micro-batches: measured before training, stored in checkpoints, halved if memory runs out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import OmegaConf

from runner.callbacks.lightning_internals import data_module_of
from runner.config.plain import to_yaml
from runner.data.split import Split
from runner.distributed.collectives import all_gather
from runner.distributed.find_micro_batch import GIB, fitting_size, measure_need
from runner.distributed.memory import is_out_of_memory
from runner.distributed.micro_batching import MicroBatching, MicroBatchingStrategy
from runner.errors import UserError
from runner.report import console
from runner.run.files import read_json, write_json, write_text
from runner.run.format import read_stored_config

__all__ = ["MicroBatchSize"]

AUTO = "auto"
LIMIT_FILE = "micro_batch.json"
"""Largest size for the next attempt, after an out-of-memory error that could not be undone."""
MEASURED_SAMPLES = 4
"""Size of the largest micro-batch whose memory is measured."""


class MicroBatchSize(pl.Callback):
    """Stores the size of micro-batches in checkpoints, so that a resumed run uses the same ones.

    Args:
        hardware: the config node ``hardware``.

    Attributes:
        requested: the size requested by the config, in samples; None for the whole share of a rank.
    """

    def __init__(self, hardware: dict[str, Any]) -> None:
        self.hardware = hardware
        self.requested = hardware.get("micro_batch")
        self._micro_batching: MicroBatching | None = None
        self._loaded: dict[str, Any] | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        strategy: Any = trainer.strategy
        is_micro_batching = isinstance(strategy, MicroBatchingStrategy)
        self._micro_batching = strategy.micro_batching if is_micro_batching else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._micro_batching is None:
            return
        if self.requested == AUTO:
            self.requested = self._micro_batching.size = self.measure(trainer)
            self.write(trainer)
        if self._loaded is not None and self._loaded["asked"] == self.requested:
            self._micro_batching.size = self._loaded["size"]
        limit = read_json(Path(trainer.default_root_dir) / LIMIT_FILE, None)
        if limit is not None:
            self._micro_batching.size = min(limit, self._micro_batching.size or limit)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Halve the micro-batch of the next attempt after an out-of-memory error.

        Neither steps of several ranks nor later batches of an accumulation can always be undone and repeated
        within the attempt.
        """
        micro_batching = self._micro_batching
        can_repeat_step = trainer.world_size == 1 and trainer.accumulate_grad_batches == 1
        if can_repeat_step or micro_batching is None or not micro_batching.halves:
            return
        if is_out_of_memory(exception):
            batch_size = data_module_of(trainer).batch_size
            size = micro_batching.size or max(1, batch_size // trainer.world_size)
            write_json(Path(trainer.default_root_dir) / LIMIT_FILE, max(1, size // 2))

    def measure(self, trainer: pl.Trainer) -> int | None:
        """Return the size that fits into the memory of the fullest device, the same on every rank.

        Returns:
            Number of samples; None if the whole share of a rank fits.

        Raises:
            UserError: the data module has no ``Split``, so samples cannot be read before training starts.
        """
        data = data_module_of(trainer)
        split = getattr(data, "splits", {}).get("train")
        if not isinstance(split, Split):
            raise UserError(
                f"hardware.micro_batch=auto: {type(data).__name__} has no splits to take samples from. Give "
                "a number instead."
            )
        share = max(1, data.batch_size // trainer.world_size)
        count = min(MEASURED_SAMPLES, share, len(split))
        samples = split.__getitems__([(0, position) for position in range(count)])
        batch = trainer.strategy.batch_to_device(samples)
        sharers = 1 if trainer.strategy.root_device.type == "cuda" else max(1, trainer.num_devices)
        need = measure_need(trainer.strategy, batch, count, self.hardware.get("memory_gib"), sharers)
        of_ranks = all_gather((fitting_size(need, share), need.of(share), need.free))
        sizes = [size for size, _, _ in of_ranks if size is not None]
        size = min(sizes) if sizes else None
        required, free = max(of_rank[1] for of_rank in of_ranks), min(of_rank[2] for of_rank in of_ranks)
        size_text = f"all {share} samples of a batch" if size is None else f"{size} of {share} samples"
        console.text(
            f"hardware.micro_batch=auto: {size_text} (all of them would need about {memory_text(required)}; "
            f"{memory_text(free)} may be used)."
        )
        return size

    def write(self, trainer: pl.Trainer) -> None:
        """Replace ``auto`` in the run's config, so that a resumed run uses the same size."""
        # Checkpoints store the same config node.
        self.hardware |= {"micro_batch": self.requested, "memory_gib": None}
        path = Path(trainer.default_root_dir) / "config.yaml"
        if trainer.is_global_zero and path.exists():
            config = read_stored_config(path)
            OmegaConf.update(config, "hardware.micro_batch", self.requested, force_add=True)
            OmegaConf.update(config, "hardware.memory_gib", None, force_add=True)
            write_text(path, to_yaml(OmegaConf.to_container(config, resolve=False)), durable=True)

    def state_dict(self) -> dict[str, Any]:
        size = None if self._micro_batching is None else self._micro_batching.size
        return {"asked": self.requested, "size": size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loaded = state


def memory_text(num_bytes: float) -> str:
    """Format a number of bytes in GiB or MiB."""
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB else f"{num_bytes / 2**20:.1f} MiB"
