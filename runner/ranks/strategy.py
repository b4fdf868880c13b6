"""How Lightning's trainer joins the ranks of a run."""

from __future__ import annotations

from typing import Any

from runner.errors import ConfigError
from runner.ranks.place import Place

__all__ = ["check_batch_size", "trainer_options"]


def trainer_options(place: Place, accelerator: str, sync_batchnorm: bool) -> dict[str, Any]:
    """Devices, nodes and strategy, from the number of processes there are."""
    if place.world_size == 1:
        return {"devices": 1}
    from pytorch_lightning.strategies import DDPStrategy

    return {
        "devices": place.local_world_size,
        "num_nodes": place.world_size // place.local_world_size,
        "strategy": DDPStrategy(process_group_backend="nccl" if accelerator == "gpu" else "gloo"),
        "sync_batchnorm": sync_batchnorm and accelerator == "gpu",
    }


def check_batch_size(batch_size: int, eval_batch_size: int, world_size: int) -> None:
    """Raises when the global batch cannot be dealt out evenly.

    Raises:
        ConfigError: with the next size that can.
    """
    if batch_size % world_size:
        more = -(-batch_size // world_size) * world_size
        raise ConfigError(
            f"data.batch_size={batch_size} is the batch of all {world_size} devices together, and cannot be dealt out "
            f"evenly. Take data.batch_size={more}, or another number of devices."
        )
    if eval_batch_size < world_size:
        raise ConfigError(
            f"data.eval_batch_size={eval_batch_size} is the batch of all {world_size} devices together: expected at "
            f"least {world_size}."
        )
