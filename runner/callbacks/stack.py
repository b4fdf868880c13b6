"""The trainer of a run, with everything that watches over it."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping

from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.callbacks.guards import NonFiniteLossGuard
from runner.callbacks.heartbeat import Heartbeat
from runner.callbacks.journal import JournalLogger, TrainMetrics
from runner.callbacks.preemption import Preemption
from runner.callbacks.progress import Progress
from runner.callbacks.recovery import Recovery
from runner.config.build import build
from runner.hardware import Chosen
from runner.ranks.place import Place
from runner.ranks.pulse import Pulse
from runner.ranks.strategy import trainer_options
from runner.run.directory import RunDir
from runner.tasks.base import Task

__all__ = ["make_trainer"]


def make_callbacks(config: dict[str, Any], task: Task, pulse: Pulse) -> list[Callback]:
    """In the order they act: what counts comes before what saves."""
    callbacks: list[Callback] = [Heartbeat(pulse), TrainMetrics(), NonFiniteLossGuard(), Progress()]
    stopping = (config.get("regularization") or {}).get("early_stopping")
    if stopping:
        callbacks.append(EarlyStopping(monitor=task.monitor, mode=task.mode, **stopping))
    callbacks += [build(node) for node in (config.get("callbacks") or {}).values()]
    if config.get("transfer"):
        callbacks.append(build(config["transfer"]))
    return [*callbacks, Recovery(), build(config["checkpoint"]), Preemption()]


def make_trainer(
    run: RunDir,
    config: dict[str, Any],
    task: Task,
    hardware: Chosen,
    place: Place | None = None,
    pulse: Pulse | None = None,
) -> Trainer:
    """
    Args:
        place: of this process among those that execute the run.
        pulse: to be told how far the training is.
    """
    place = place or Place()
    factory = build({**config["trainer"], "_partial_": True})
    return factory(
        accelerator=hardware.accelerator,
        **trainer_options(place, hardware.accelerator, bool(config["hardware"].get("sync_batchnorm"))),
        precision=hardware.precision,
        logger=JournalLogger(run, writes=place.is_first),
        callbacks=make_callbacks(config, task, pulse or Pulse.of(place)),
        plugins=[RunCheckpointIO()],
        default_root_dir=str(run.path),
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )
