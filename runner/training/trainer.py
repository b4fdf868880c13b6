"""The trainer of a run and its callbacks."""

from __future__ import annotations

from functools import partial
from typing import Any

from pytorch_lightning import Callback, Trainer

from runner.callbacks.checkpoint_io import RunCheckpointIO
from runner.callbacks.deadline import Deadline, job_end
from runner.callbacks.exact_resume import ExactResume
from runner.callbacks.heartbeat import HeartbeatCallback
from runner.callbacks.metrics_logger import GradientNorm, JournalLogger, MonitorCheck, TrainMetrics
from runner.callbacks.micro_batch import MicroBatchSize
from runner.callbacks.non_finite_guard import NonFiniteGuard
from runner.callbacks.preemption import Preemption
from runner.callbacks.progress import Progress
from runner.callbacks.regularization import (
    averaging_callbacks,
    clipping,
    early_stopping,
    regularizing_callbacks,
)
from runner.callbacks.schedule_length import OptimizerSettings, ScheduleLength
from runner.callbacks.sync_buffers import SyncBuffers
from runner.config.build import build
from runner.distributed.cluster_environment import ProcessInfoEnvironment
from runner.distributed.ddp import trainer_options
from runner.distributed.hardware import ResolvedHardware
from runner.distributed.heartbeat import Heartbeat
from runner.distributed.micro_batching import MicroBatching
from runner.distributed.process_info import ProcessInfo
from runner.run.directory import RunDir
from runner.tasks.base import Task
from runner.training.learning_rate import LearningRate

__all__ = ["make_range_trainer", "make_trainer"]


def make_callbacks(
    config: dict[str, Any], task: Task, heartbeat: Heartbeat, scale: float = 1.0
) -> list[Callback]:
    """Builds the callbacks in the order in which they act: those that count before those that save.

    Args:
        config: the resolved config.
        task: the task to train.
        heartbeat: updated with the progress of the training.
        scale: factor of the learning rate after rollbacks.
    """
    guard = build(config["guard"]) if config.get("guard") else NonFiniteGuard()
    callbacks: list[Callback] = [
        HeartbeatCallback(heartbeat),
        TrainMetrics(),
        GradientNorm(),
        guard,
        Progress(),
    ]
    stopping = (config.get("regularization") or {}).get("early_stopping")
    callbacks.append(MonitorCheck(bool(stopping) or config["task"].get("monitor") is not None))
    if stopping:
        callbacks.append(early_stopping(task, stopping))
    callbacks += [build(node) for node in (config.get("callbacks") or {}).values()]
    callbacks += training_callbacks(config, task)
    callbacks += averaging_callbacks(config.get("regularization") or {}, config["seed"])
    settings = OptimizerSettings(config["optimizer"], scale)
    # SLURM sends a signal before the end of a job and requeues it.
    signalled = (config.get("launcher") or {}).get("kind") == "slurm"
    deadline = Deadline(config["trainer"].get("max_time"), None if signalled else job_end())
    saving = [ExactResume(config), build(config["checkpoint"]), Preemption(), deadline]
    return [
        *callbacks,
        SyncBuffers(),
        MicroBatchSize(config["hardware"]),
        ScheduleLength(),
        settings,
        *saving,
    ]


def micro_batching_of(hardware: dict[str, Any]) -> MicroBatching:
    """Returns the micro-batch settings of the ``hardware`` node."""
    size = hardware.get("micro_batch")
    return MicroBatching(
        size if isinstance(size, int) else None, halves=hardware.get("on_out_of_memory", "halve") == "halve"
    )


def training_callbacks(config: dict[str, Any], task: Task) -> list[Callback]:
    """Builds the callbacks that change how the model trains; a range test needs them, too."""
    transfer = [build(config["transfer"])] if config.get("transfer") else []
    regularizing = regularizing_callbacks(config.get("regularization") or {}, task, config["seed"])
    return [*transfer, *regularizing]


def make_trainer(
    run: RunDir,
    config: dict[str, Any],
    task: Task,
    hardware: ResolvedHardware,
    learning_rate: LearningRate,
    process_info: ProcessInfo | None = None,
    heartbeat: Heartbeat | None = None,
) -> Trainer:
    """Builds the trainer of a run.

    Args:
        run: the run directory.
        config: the resolved config.
        task: the task to train.
        hardware: device and precision.
        learning_rate: decided for this attempt.
        process_info: this process among the ranks; a single process when None.
        heartbeat: updated with the progress of the training.
    """
    process_info = process_info or ProcessInfo()
    return _factory(run, config, hardware, process_info, without_max_time(config["trainer"]))(
        logger=JournalLogger(run, writes=process_info.is_first),
        callbacks=make_callbacks(
            config, task, heartbeat or Heartbeat.of(process_info), learning_rate.rollback_factor
        ),
        plugins=[RunCheckpointIO(), ProcessInfoEnvironment(process_info)],
    )


def make_range_trainer(
    run: RunDir,
    config: dict[str, Any],
    task: Task,
    hardware: ResolvedHardware,
    process_info: ProcessInfo,
    heartbeat: Heartbeat,
    recorder: Callback,
    num_steps: int,
) -> Trainer:
    """Builds a trainer for a learning-rate range test, which trains like the run but writes nothing.

    Args:
        run: the run directory.
        config: the config of the range test.
        task: the temporary task.
        hardware: device and precision.
        process_info: this process among the ranks.
        heartbeat: updated with the progress of the test.
        recorder: the callback that records the losses.
        num_steps: number of optimizer updates.
    """
    return _factory(run, config, hardware, process_info, until_step(config["trainer"], num_steps))(
        logger=False,
        callbacks=[HeartbeatCallback(heartbeat), recorder, *training_callbacks(config, task)],
        enable_progress_bar=False,
    )


def until_step(trainer: dict[str, Any], num_steps: int) -> dict[str, Any]:
    """Returns the trainer node for a fixed number of steps, without validation, profiler or other limits."""
    ends = (
        "max_time",
        "min_steps",
        "min_epochs",
        "profiler",
        "val_check_interval",
        "check_val_every_n_epoch",
    )
    kept = {key: value for key, value in trainer.items() if key not in ends}
    return kept | {"max_steps": num_steps, "max_epochs": -1, "limit_val_batches": 0}


def without_max_time(trainer: dict[str, Any]) -> dict[str, Any]:
    """Returns the trainer node without its time limit, which ``Deadline`` enforces.

    Lightning 2.6 would end the epoch at the limit and count it as complete.
    """
    if trainer.get("max_time") is None:
        return trainer
    endless = trainer.get("max_epochs") is None and trainer.get("max_steps") in (None, -1)
    return trainer | {"max_time": None} | ({"max_epochs": -1} if endless else {})


def _factory(
    run: RunDir,
    config: dict[str, Any],
    hardware: ResolvedHardware,
    process_info: ProcessInfo,
    trainer: dict[str, Any] | None = None,
) -> partial[Trainer]:
    """Returns Lightning's trainer with the arguments that all uses share."""
    return partial(
        build({**(trainer or config["trainer"]), "_partial_": True}),
        accelerator=hardware.accelerator,
        **trainer_options(
            process_info, hardware.accelerator, micro_batching_of(config["hardware"]), config["hardware"]
        ),
        precision=hardware.precision,
        **clipping(config.get("regularization") or {}),
        plugins=[ProcessInfoEnvironment(process_info)],
        default_root_dir=str(run.path),
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )
