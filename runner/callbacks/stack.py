"""The trainer of a run, with everything that watches over it."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping

from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.callbacks.guards import NonFiniteLossGuard
from runner.callbacks.journal import JournalLogger, TrainMetrics
from runner.callbacks.preemption import Preemption
from runner.callbacks.progress import Progress
from runner.callbacks.recovery import Recovery
from runner.config.build import build
from runner.hardware import Chosen
from runner.run.directory import RunDir
from runner.tasks.base import Task

__all__ = ["make_trainer"]


def make_callbacks(run: RunDir, config: dict[str, Any], task: Task) -> list[Callback]:
    """In the order they act: what counts comes before what saves."""
    callbacks: list[Callback] = [TrainMetrics(), NonFiniteLossGuard(), Progress()]
    stopping = (config.get("regularization") or {}).get("early_stopping")
    if stopping:
        callbacks.append(EarlyStopping(monitor=task.monitor, mode=task.mode, **stopping))
    callbacks += [build(node) for node in (config.get("callbacks") or {}).values()]
    if config.get("transfer"):
        callbacks.append(build(config["transfer"]))
    return [*callbacks, Recovery(), build(config["checkpoint"]), Preemption()]


def make_trainer(run: RunDir, config: dict[str, Any], task: Task, hardware: Chosen) -> Trainer:
    factory = build({**config["trainer"], "_partial_": True})
    return factory(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        precision=hardware.precision,
        logger=JournalLogger(run),
        callbacks=make_callbacks(run, config, task),
        plugins=[RunCheckpointIO()],
        default_root_dir=str(run.path),
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )
