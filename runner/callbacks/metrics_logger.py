"""Writes metrics to the journal of the run and checks that the monitored metric is logged."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from runner.callbacks import lightning_internals
from runner.callbacks.lightning_internals import task_of
from runner.config.monitor import unknown_metric
from runner.distributed.collectives import all_gather, mean_over_ranks, own_part, world_size
from runner.errors import ConfigError
from runner.run.directory import RunDir
from runner.run.journal import Journal

__all__ = ["GradientNorm", "JournalLogger", "MonitorCheck", "TrainMetrics"]


class GradientNorm(pl.Callback):
    """Logs ``train/grad_norm``, the gradient norm before clipping, at the same steps as the loss."""

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        step, interval = trainer.global_step + 1, lightning_internals.log_interval(trainer)
        if trainer.logger is None or not interval or step % interval:
            return
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            norm = torch.nn.utils.get_total_norm(gradients)
            trainer.logger.log_metrics({"train/grad_norm": float(norm)}, step)


class MonitorCheck(pl.Callback):
    """Ends the run if the first validation does not log the monitored metric.

    Metrics of the training split (``train/…``) are checked after the first epoch.

    Args:
        required: whether the task's monitored metric must exist; that of the scheduler always must.
    """

    def __init__(self, required: bool) -> None:
        self.required = required
        self._checked: set[str] = set()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the metrics of this split.

        Raises:
            ConfigError: a monitored metric was not logged.
        """
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._check("val/", trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the metrics of this split.

        Raises:
            ConfigError: a monitored metric was not logged.
        """
        if trainer.current_epoch > 0 and trainer.callback_metrics:
            self._check("train/", trainer, pl_module)

    def _check(self, split: str, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if split in self._checked:
            return
        self._checked.add(split)
        monitored = {"task.monitor": task_of(pl_module).monitor} if self.required else {}
        for entry in trainer.lr_scheduler_configs:
            if entry.reduce_on_plateau and entry.monitor:
                monitored["scheduler.monitor"] = entry.monitor
        logged = [name for name in trainer.callback_metrics if name.startswith(("val/", "train/"))]
        for key, name in monitored.items():
            if name.startswith(split) and name not in logged:
                raise ConfigError(unknown_metric(key, name, logged))


class JournalLogger(Logger):
    """Lightning logger that writes ``metrics.jsonl``; trackers read that file, outside the training process.

    Args:
        run: run directory.
        writes: False on all ranks but rank 0, where nothing is logged.
    """

    def __init__(self, run: RunDir, writes: bool = True) -> None:
        super().__init__()
        self.journal = Journal(run.metrics_path) if writes else None
        self._run = run
        self._epoch = 0

    @property
    def name(self) -> str:
        return self._run.name

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self._run.path)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch stored with the following metrics."""
        self._epoch = epoch

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run directory already contains the config."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        numbers = {key: value for key, value in metrics.items() if key != "epoch"}
        if numbers and self.journal is not None:
            self.journal.log(int(step or 0), self._epoch, numbers)

    def save(self, durable: bool = False) -> None:
        if self.journal is not None:
            self.journal.flush(durable)

    def finalize(self, status: str) -> None:
        self.save()

    def close(self) -> None:
        """Close the journal."""
        if self.journal is not None:
            self.journal.close()


class TrainMetrics(Callback):
    """Logs the training loss and the learning rate every ``log_every_n_steps``.

    The loss is the mean since the last point; the terms of the loss are logged too if the task provides them.
    Sums stay on the device and are only transferred when a point is written.
    """

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._parts: dict[str, Tensor] = {}
        self._count = 0
        self._epoch_sum: Tensor | None = None
        self._epoch_count = 0
        self._last_step = -1

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(trainer.logger, JournalLogger):
            trainer.logger.set_epoch(trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        task = task_of(pl_module)
        if task.last_train_loss is None:
            return
        loss = task.last_train_loss.float()
        self._sum = loss.clone() if self._sum is None else self._sum.add_(loss)
        for name, part in getattr(task, "last_train_parts", {}).items():
            self._parts[name] = self._parts[name] + part.float() if name in self._parts else part.float()
        self._count += 1
        step = trainer.global_step
        if step != self._last_step and step % lightning_internals.log_interval(trainer) == 0:
            self._last_step = step
            self._log(trainer, self._sum, step)

    def _log(self, trainer: Trainer, loss_sum: Tensor, step: int) -> None:
        names = ("train/loss", *(f"train/{name}" for name in self._parts))
        means = (float(total) / self._count for total in (loss_sum, *self._parts.values()))
        metrics = dict(zip(names, mean_over_ranks(*means), strict=True))
        self._add_to_epoch()
        for position, group in enumerate(trainer.optimizers[0].param_groups if trainer.optimizers else ()):
            key = "train/lr" if position == 0 else f"train/lr_{position}"
            if position == 0 or group["lr"] != trainer.optimizers[0].param_groups[0]["lr"]:
                metrics[key] = float(group["lr"])
        log_metrics(trainer, metrics, step)

    def _add_to_epoch(self) -> None:
        if self._sum is not None:
            total = self._sum.double()
            self._epoch_sum = total if self._epoch_sum is None else self._epoch_sum + total
            self._epoch_count += self._count
        self._sum, self._count, self._parts = None, 0, {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._add_to_epoch()
        if self._epoch_sum is not None:
            [mean] = mean_over_ranks(float(self._epoch_sum) / self._epoch_count)
            log_metrics(trainer, {"train/epoch_loss": mean}, trainer.global_step)
            pl_module.log("train/epoch_loss", mean, logger=False)
        self._epoch_sum, self._epoch_count = None, 0

    def state_dict(self) -> dict[str, Any]:
        """Return this rank's sums, and with several ranks also the sums of each rank."""
        state = self._rank_state()
        return state if world_size() == 1 else state | {"ranks": all_gather(state)}

    def _rank_state(self) -> dict[str, Any]:
        def number(value: Tensor | None) -> float | None:
            return None if value is None else float(value)

        return {
            "sum": number(self._sum),
            "parts": {name: float(part) for name, part in self._parts.items()},
            "count": self._count,
            "epoch_sum": number(self._epoch_sum),
            "epoch_count": self._epoch_count,
            "last_step": self._last_step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        ranks = state.get("ranks", [state])
        state = own_part(ranks) or mean_of(ranks)
        if state["sum"] is not None:
            self._sum = torch.tensor(state["sum"], dtype=torch.float32)
        parts = state.get("parts", {})
        self._parts = {name: torch.tensor(part, dtype=torch.float32) for name, part in parts.items()}
        if state["epoch_sum"] is not None:
            self._epoch_sum = torch.tensor(state["epoch_sum"], dtype=torch.float64)
        self._count, self._epoch_count = state["count"], state["epoch_count"]
        self._last_step = state["last_step"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._sum = None if self._sum is None else self._sum.to(pl_module.device)
        self._parts = {name: part.to(pl_module.device) for name, part in self._parts.items()}
        self._epoch_sum = None if self._epoch_sum is None else self._epoch_sum.to(pl_module.device)


def log_metrics(trainer: Trainer, metrics: dict[str, float], step: int) -> None:
    """Log metrics with the trainer's logger, if it has one."""
    if trainer.logger is not None:
        trainer.logger.log_metrics(metrics, step)


def mean_of(ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """Distribute the sums of several ranks over a different number of ranks."""

    def mean(values: list[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        return sum(numbers) / len(numbers) if len(numbers) == len(values) else None

    return ranks[0] | {
        "sum": mean([rank["sum"] for rank in ranks]),
        "epoch_sum": mean([rank["epoch_sum"] for rank in ranks]),
        "parts": {name: mean([rank["parts"][name] for rank in ranks]) for name in ranks[0].get("parts", {})},
    }
