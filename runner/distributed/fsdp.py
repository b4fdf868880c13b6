"""FSDP2: shards parameters, gradients and optimizer state over the devices.

Zhao et al., "PyTorch FSDP: experiences on scaling fully sharded data parallel" (2023),
https://arxiv.org/abs/2304.11277
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from runner.distributed.blocks import find_blocks
from runner.distributed.fsdp_checkpoint import (
    copy_weights,
    load_optimizer,
    read_optimizer,
    read_rest,
    read_weights,
    write_shards,
)
from runner.distributed.micro_batching import MicroBatching, MicroBatchingStrategy

__all__ = ["FSDP2Strategy"]


class FSDP2Strategy(MicroBatchingStrategy, ModelParallelStrategy):
    """Gathers the parameters of a block only for its own forward and backward pass.

    A checkpoint is a folder to which every rank writes its shards; it can be read with any world size.

    Args:
        micro_batching: size of the micro-batches.
    """

    def __init__(self, micro_batching: MicroBatching, **kwargs: Any) -> None:
        super().__init__(tensor_parallel_size=1, **kwargs)
        self.micro_batching = micro_batching
        self._source = Path()

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def split_model(self, model: nn.Module) -> None:
        """Shard each block separately and the remaining parameters together."""
        if isinstance(model, FSDPModule):
            return
        assert self.device_mesh is not None  # Lightning creates it before it configures the model
        mesh = self.device_mesh["data_parallel"]
        for block in find_blocks(model).values():
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)

    # Checkpoints

    def lightning_module_state_dict(self) -> dict[str, Any]:
        return self.task.state_dict()

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """Return the optimizer's state by parameter name, with unchanged groups."""
        names = {parameter: name for name, parameter in self.task.named_parameters()}
        groups = [
            {**group, "params": [names[parameter] for parameter in group["params"]]}
            for group in optimizer.param_groups
        ]
        return {"state": {names[p]: state for p, state in optimizer.state.items()}, "param_groups": groups}

    def save_checkpoint(
        self, checkpoint: dict[str, Any], filepath: str | Path, storage_options: Any = None
    ) -> None:
        write_shards(checkpoint, Path(filepath), self.is_global_zero)

    # With these two settings, Lightning 2.6 restores weights before the hooks of callbacks, and optimizers
    # after it has created them.

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        return True

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Load the unsharded part of a checkpoint folder; the methods below read the shards."""
        self._source = Path(checkpoint_path)
        if not self._source.is_dir():
            return self.checkpoint_io.load_checkpoint(self._source)
        io: Any = self.checkpoint_io  # the CheckpointIO of runs verifies checksums
        io.check(self._source)
        return read_rest(self._source)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        if self._source.is_dir():
            read_weights(self._source, checkpoint["state_dict"], self.task)
        else:
            copy_weights(checkpoint["state_dict"], self.task)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            if self._source.is_dir():
                read_optimizer(self._source, saved, optimizer, self.task)
            else:
                load_optimizer(saved, optimizer)
