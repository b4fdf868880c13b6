"""How Lightning's trainer joins the ranks of a run."""

from __future__ import annotations

import warnings
from typing import Any

from runner.ranks.place import Place

__all__ = ["trainer_options"]


def trainer_options(place: Place, accelerator: str, sync_batchnorm: bool) -> dict[str, Any]:
    """Devices, nodes and strategy, from the number of processes there are."""
    if place.world_size == 1:
        return {"devices": 1}
    from pytorch_lightning.strategies import DDPStrategy

    # What is logged is the same on every rank: the tasks add the ranks up themselves.
    warnings.filterwarnings("ignore", message="It is recommended to use `self.log", module="pytorch_lightning")
    return {
        "devices": place.local_world_size,
        "num_nodes": place.num_nodes,
        "strategy": DDPStrategy(process_group_backend="nccl" if accelerator == "gpu" else "gloo"),
        "sync_batchnorm": sync_batchnorm and accelerator == "gpu",
    }
