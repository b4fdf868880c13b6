"""Writes metrics to the journal of the run, and checks that the monitored metric is among them."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from runner.config.monitor import unknown_metric
from runner.distributed.collectives import all_gather, mean_over_ranks, own_part, world_size
from runner.errors import UserError
from runner.run.directory import RunDir
from runner.run.journal import Journal

__all__ = ["GradientNorm", "JournalLogger", "MonitorCheck", "TrainMetrics"]


class GradientNorm(pl.Callback):
    """Logs ``train/grad_norm``, before clipping, of the updates whose loss is logged too."""

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        step = trainer.global_step + 1
        if trainer.logger is None or not trainer.log_every_n_steps or step % trainer.log_every_n_steps:
            return
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        if gradients:
            norm = torch.nn.utils.get_total_norm(gradients)
            trainer.logger.log_metrics({"train/grad_norm": float(norm)}, step)


class MonitorCheck(pl.Callback):
    """Ends a run whose monitored metric is not among those that its first validation logged.

    Metrics of the training split (``train/…``) are checked at the end of the first epoch.

    Args:
        required: whether the task's metric must exist; that of the scheduler always must.
    """

    def __init__(self, required: bool) -> None:
        self.required = required
        self._checked: set[str] = set()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """
        Raises:
            UserError: a monitored metric was not logged.
        """
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._check("val/", trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """
        Raises:
            UserError: a monitored metric was not logged.
        """
        if trainer.current_epoch > 0 and trainer.callback_metrics:
            self._check("train/", trainer, pl_module)

    def _check(self, split: str, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if split in self._checked:
            return
        self._checked.add(split)
        wanted = {"task.monitor": pl_module.monitor} if self.required else {}
        for entry in trainer.lr_scheduler_configs:
            if entry.reduce_on_plateau and entry.monitor:
                wanted["scheduler.monitor"] = entry.monitor
        logged = [name for name in trainer.callback_metrics if name.startswith(("val/", "train/"))]
        for key, name in wanted.items():
            if name.startswith(split) and name not in logged:
                raise UserError(unknown_metric(key, name, logged))


class JournalLogger(Logger):
    """Lightning's door to ``metrics.jsonl``. Trackers read that file; none is called from the training loop.

    Args:
        writes: false on every rank but the first; nothing is logged there.
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
        self._epoch = epoch

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The config of a run stands in its directory already."""

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
        if self.journal is not None:
            self.journal.close()


class TrainMetrics(Callback):
    """Logs the mean training loss since the last point, the parts it is made of where the task tells them,
    and the learning rate, every ``log_every_n_steps``.

    The sum stays on the device; it is read only when a point is written.
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

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        loss = pl_module.last_train_loss
        if loss is None:
            return
        loss = loss.float()
        self._sum = loss.clone() if self._sum is None else self._sum.add_(loss)
        for name, part in getattr(pl_module, "last_train_parts", {}).items():
            self._parts[name] = self._parts[name] + part.float() if name in self._parts else part.float()
        self._count += 1
        step = trainer.global_step
        if step != self._last_step and step % trainer.log_every_n_steps == 0:
            self._last_step = step
            self._log(trainer, step)

    def _log(self, trainer: Trainer, step: int) -> None:
        names = ("train/loss", *(f"train/{name}" for name in self._parts))
        means = (float(total) / self._count for total in (self._sum, *self._parts.values()))
        metrics = dict(zip(names, mean_over_ranks(*means), strict=True))
        self._take_epoch()
        for position, group in enumerate(trainer.optimizers[0].param_groups if trainer.optimizers else ()):
            key = "train/lr" if position == 0 else f"train/lr_{position}"
            if position == 0 or group["lr"] != trainer.optimizers[0].param_groups[0]["lr"]:
                metrics[key] = float(group["lr"])
        trainer.logger.log_metrics(metrics, step)

    def _take_epoch(self) -> None:
        if self._count:
            total = self._sum.double()
            self._epoch_sum = total if self._epoch_sum is None else self._epoch_sum + total
            self._epoch_count += self._count
        self._sum, self._count, self._parts = None, 0, {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._take_epoch()
        if self._epoch_count:
            [mean] = mean_over_ranks(float(self._epoch_sum) / self._epoch_count)
            trainer.logger.log_metrics({"train/epoch_loss": mean}, trainer.global_step)
            pl_module.log("train/epoch_loss", mean, logger=False)
        self._epoch_sum, self._epoch_count = None, 0

    def state_dict(self) -> dict[str, Any]:
        """This rank's sums, and where there are several ranks, those of each."""
        own = self._own_state()
        return own if world_size() == 1 else own | {"ranks": all_gather(own)}

    def _own_state(self) -> dict[str, Any]:
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


def mean_of(ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """Redistributes the sums of several ranks over another number of ranks."""

    def mean(values: list[float | None]) -> float | None:
        return None if values[0] is None else sum(values) / len(values)

    return ranks[0] | {
        "sum": mean([rank["sum"] for rank in ranks]),
        "epoch_sum": mean([rank["epoch_sum"] for rank in ranks]),
        "parts": {name: mean([rank["parts"][name] for rank in ranks]) for name in ranks[0].get("parts", {})},
    }
