"""The base of every task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from PIL.Image import Image
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from runner.data.facts import Facts
from runner.distributed.collectives import gather_to_rank0, sum_over_ranks
from runner.optim.groups import build_optimizer
from runner.optim.schedule import Schedule
from runner.tasks.eval_loss import without_smoothing
from runner.tasks.shape_check import probe

__all__ = ["StepOutput", "Task"]


@dataclass
class StepOutput:
    """What one batch gave.

    Attributes:
        loss: scalar, attached to the graph.
        outputs: detached tensors by name, first dimension the batch: what metrics, plots and ``predict`` use.
    """

    loss: Tensor
    outputs: dict[str, Any]


class Task(LightningModule):
    """Loss, metrics, decoding and plots of one kind of problem, for any model that does it.

    A subclass gives ``step`` and, as far as it has them, ``update_metrics``, ``compute_metrics``,
    ``figures`` and ``rows``.

    Args:
        model: a plain module.
        optimizer: called with parameter groups; None for a task that is only evaluated.
        scheduler: called with the optimizer, ``total_steps`` and ``steps_per_epoch``; or None.
        monitor: the logged metric that picks the best checkpoint and ends training early, such as ``val/accuracy``; the
            task's own when None. Every task takes it, also one whose constructor does not name it.
        monitor_mode: whether a lower or a higher value of ``monitor`` is better; needed only for a metric whose name
            does not show it.

    Attributes:
        monitor: the metric that picks the best checkpoint.
        mode: whether a lower or a higher value of it is better.
        metric_modes: metrics of a validation during training, without ``val/``, and whether lower or higher values are
            better; ``NAME/*`` stands for one metric for each name. A task that declares them declares all of them.
        train_metric_modes: the same of the training split.
        served_as: what a served model answers.
        refused_losses: losses that make no sense for the task.
        mixes: whether its targets are classes that MixUp and CutMix can blend.
        last_train_loss: of the newest batch, on the device.
        last_train_parts: what that loss is the sum of, by name, where the task tells; logged as ``train/NAME``.
        outputs: of the last evaluation of a split, when ``collect`` was set.
        decode: token ids to text, as the data has it; whoever joins the two sets it.
    """

    monitor: str = "val/loss"
    mode: Literal["min", "max"] = "min"
    metric_modes: ClassVar[dict[str, Literal["min", "max"]]] = {"loss": "min"}
    train_metric_modes: ClassVar[dict[str, Literal["min", "max"]]] = {"epoch_loss": "min"}
    served_as: str = "outputs"
    refused_losses: ClassVar[tuple[type, ...]] = ()
    mixes: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
    ):
        super().__init__()
        self.model = model
        self.optimizer_factory = optimizer
        self.scheduler_factory = scheduler
        self.last_train_loss: Tensor | None = None
        self.last_train_parts: dict[str, Tensor] = {}
        self.channels_last = False
        self.collect = False
        self.decode: Callable[[Sequence[int]], str] = str
        self.outputs: dict[str, dict[str, Any]] = {}
        self._collected: list[dict[str, Any]] = []
        self._ends_of_batches: list[int] = []
        self._loss_sum: Tensor | None = None
        self._loss_count: Tensor | int = 0

    def choose_monitor(self, monitor: str | None = None, monitor_mode: Literal["min", "max"] | None = None) -> None:
        """Selects the monitored metric; None keeps the task's own."""
        if monitor is not None:
            self.monitor = monitor
        if monitor_mode is not None:
            self.mode = monitor_mode

    configured_by = choose_monitor
    """A method whose arguments a config gives beside the constructor's; it is called after construction."""

    @classmethod
    def default_monitor(cls, data: dict[str, Any]) -> tuple[str, Literal["min", "max"]]:
        """The monitored metric and its mode, as far as the data module's settings determine them."""
        return cls.monitor, cls.mode

    @classmethod
    def adapt(cls, facts: Facts) -> Facts:
        """The facts as this task sees them; raises DataError when the data cannot be its."""
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        """One pass of zeros through a fresh model; raises a UserError when it does not fit the data."""
        probe(model, facts.input_shape, facts.num_outputs)

    # What a subclass gives

    def step(self, batch: dict[str, Any]) -> StepOutput:
        """Forward pass and loss of one batch, of training and of evaluation."""
        raise TypeError(f"{type(self).__name__} must define step()")

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        """Takes one batch of evaluation into the metrics of ``split``.

        What is too large to be kept of every batch, for figures, may be taken out of ``outputs`` here.
        """

    def compute_metrics(self, split: str) -> dict[str, float]:
        """Metrics of the whole split, and a fresh start for the next."""
        return {}

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        """``(name, Figure)`` of what ``outputs[split]`` shows."""
        return iter(())

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """One plain dict a sample, for ``predict``."""
        return []

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """One plain dict a sample of ``outputs[split]``: what was there to be found, and what the model made of it."""
        return []

    def pictures(self, inputs: Sequence[Tensor], outputs: dict[str, Any]) -> list[dict[str, Image]]:
        """For each input the pictures, by name, that ``predict --output FOLDER`` writes beside the rows.

        Args:
            inputs: as ``read_inputs`` gave them.
        """
        return [{} for _ in inputs]

    def predict_outputs(self, inputs: Any) -> dict[str, Any]:
        """``outputs`` of inputs that have no targets: a batch as the data module makes them."""
        raise TypeError(f"{type(self).__name__} must define predict_outputs()")

    def served(self, outputs: dict[str, Any]) -> Tensor:
        """What a served model answers, from ``predict_outputs``."""
        return next(iter(outputs.values()))

    # The loop's hooks

    def forward(self, inputs: Tensor) -> Tensor:
        if self.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return self.model(inputs)

    def configure_model(self) -> None:
        """Splits the model over the devices, where the strategy does so."""
        split_model = getattr(self.trainer.strategy, "split_model", None)
        if split_model is not None:
            split_model(self.model)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return self.take_loss(self.step(batch).loss, batch)

    def take_loss(self, loss: Tensor, batch: dict[str, Any]) -> Tensor:
        """The loss to go back from. The mean over the ranks is the batch's, also where their shares differ."""
        weight = batch.get("weight", 1.0)
        if isinstance(weight, Tensor) or weight != 1.0:
            loss = loss * weight
            self.last_train_parts = {name: part * weight for name, part in self.last_train_parts.items()}
        self.last_train_loss = loss.detach()
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._evaluate(batch, "val")
        self._ends_of_batches.append(len(self._collected))

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        self._evaluate(batch, "test")
        self._ends_of_batches.append(len(self._collected))

    def meeting(self, _: int) -> Tensor:
        """Zero, with a backward pass in which the ranks meet: see `ZeroGradient`."""
        return ZeroGradient.apply(*(parameter for parameter in self.parameters() if parameter.requires_grad))

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        if not getattr(self.trainer.strategy, "clears_gradients", False):
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def _evaluate(self, batch: dict[str, Any], split: str) -> None:
        step, count = self.eval_step(batch), self.batch_count(batch)
        self.add_loss(step, batch, count)
        self.update_metrics(step.outputs, split)
        if self.collect:
            kept = {key: to_cpu(value) for key, value in step.outputs.items()}
            self._collected.append(kept | {"index": to_cpu(batch.get("index"))})

    def eval_step(self, batch: dict[str, Any]) -> StepOutput:
        """The step of a held-out batch; its loss is the plain one, without label smoothing."""
        with without_smoothing(getattr(self, "loss", None)):
            return self.step(batch)

    def summed_loss(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | int]:
        """The loss of a held-out batch alone, without metrics and decoding: its sum, and what it is a sum over. The
        loss of a split is the one divided by the other, each added up over the batches in their order."""
        step, count = self.eval_step(batch), self.batch_count(batch)
        return precise(step.loss) * count, count

    def add_loss(self, step: StepOutput, batch: dict[str, Any], count: Tensor | int) -> None:
        """Adds the loss of a held-out batch, a mean over ``count`` units, to that of its split."""
        self._loss_sum = precise(step.loss) * count + (0 if self._loss_sum is None else self._loss_sum)
        self._loss_count = count + self._loss_count

    def split_loss(self) -> float:
        """The loss of the whole split on all ranks, from what its batches added up."""
        total, count = sum_over_ranks(float(self._loss_sum), float(self._loss_count))
        return total / count if count else total

    loss_denominator: Callable[[dict[str, Any]], Any] | None = None
    """What of a batch its loss is the mean over, a method; None where that is its samples."""

    def batch_count(self, batch: dict[str, Any]) -> Tensor | int:
        """How many of these there are, so that the loss of a split does not depend on how it is dealt into batches."""
        return len(batch["inputs"]) if self.loss_denominator is None else self.loss_denominator(batch)

    def on_validation_epoch_end(self) -> None:
        self._finish_evaluation("val")

    def on_test_epoch_end(self) -> None:
        self._finish_evaluation("test")

    def _finish_evaluation(self, split: str) -> None:
        metrics = {f"{split}/{key}": float(value) for key, value in self.compute_metrics(split).items()}
        if self._loss_sum is not None:
            metrics[f"{split}/loss"] = self.split_loss()
        self._loss_sum, self._loss_count = None, 0
        if self.collect:
            self.outputs[split] = join(in_order(gather_to_rank0(by_batch(self._collected, self._ends_of_batches))))
            self._collected = []
        self._ends_of_batches = []
        self.log_dict(metrics, logger=False)
        if self.trainer.logger is not None and not self.trainer.sanity_checking and self.trainer.state.fn == "fit":
            self.trainer.logger.log_metrics(metrics, step=self.trainer.global_step)

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.optimizer_factory, self.model)
        schedule = self.make_schedule(optimizer, self.planned_steps())
        if schedule is None:
            return optimizer
        entry = {"scheduler": schedule.scheduler, "interval": schedule.interval, "frequency": 1}
        if schedule.needs_metric:
            entry["monitor"] = schedule.monitor
            if schedule.monitor.startswith("val/"):  # it is there after epochs that are validated only
                entry["frequency"] = self.trainer.check_val_every_n_epoch or 1
        return {"optimizer": optimizer, "lr_scheduler": entry}

    def planned_steps(self) -> int:
        """Optimizer updates of the whole training; 0 when nobody knows."""
        steps = self.trainer.estimated_stepping_batches
        return int(steps) if math.isfinite(steps) else 0  # max_time alone ends it

    def make_schedule(self, optimizer: torch.optim.Optimizer, total_steps: int) -> Schedule | None:
        """The learning rate's way over so many updates, from the optimizer's rates on."""
        if self.scheduler_factory is None:
            return None
        steps_per_epoch = self.steps_per_epoch() or total_steps
        return self.scheduler_factory(optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch)

    def steps_per_epoch(self) -> int:
        """Optimizer updates of a whole epoch, also where the training ends before its end; 0 when nobody knows."""
        if self.trainer.train_dataloader is None:
            self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        return math.ceil(batches / self.trainer.accumulate_grad_batches) if math.isfinite(batches) else 0


class ZeroGradient(torch.autograd.Function):
    """Zero, whose gradient is the negative zero for each parameter: added to anything, it leaves every bit as it was,
    and yet each parameter's gradient has been touched, which is what DDP waits for."""

    @staticmethod
    def forward(ctx: Any, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(*parameters)
        return parameters[0].new_zeros(())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(parameter.new_full((), -0.0).expand_as(parameter) for parameter in ctx.saved_tensors)


def precise(loss: Tensor) -> Tensor:
    """A loss to be added up, in double precision where the device has it."""
    return loss.detach().float() if loss.device.type == "mps" else loss.detach().double()


def to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: to_cpu(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_cpu(item) for item in value]
    return value


def by_batch(parts: list[Any], ends: list[int]) -> list[list[Any]]:
    return [parts[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def in_order(ranks: list[list[list[Any]]]) -> list[Any]:
    """What the ranks collected, batch by batch, as one rank would have collected it."""
    return [part for batch in zip(*ranks, strict=True) for share in batch for part in share]


def join(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Batches of outputs as one: tensors concatenated, lists chained."""
    if not parts:
        return {}
    joined: dict[str, Any] = {}
    for key in parts[0]:
        values = [part[key] for part in parts]
        if isinstance(values[0], Tensor):
            joined[key] = torch.cat(values)
        elif isinstance(values[0], list):
            joined[key] = [item for value in values for item in value]
    return joined
