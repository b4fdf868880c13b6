"""Base class of all tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from runner.data.facts import Facts
from runner.distributed.collectives import gather_to_rank0, sum_over_ranks
from runner.errors import UserError
from runner.optim.groups import build_optimizer
from runner.optim.schedule import Schedule
from runner.tasks.eval_loss import without_smoothing
from runner.tasks.extra_metrics import ExtraMetrics
from runner.tasks.hooks import TaskHooks
from runner.tasks.outputs import in_order, join, split_by_batch, to_cpu
from runner.tasks.required_outputs import check_loss, check_outputs
from runner.tasks.shape_check import check_output_shape
from runner.tasks.zero_gradient import ZeroGradient

__all__ = ["StepOutput", "Task"]


@dataclass
class StepOutput:
    """Loss and outputs of one batch.

    Attributes:
        loss: scalar, attached to the graph.
        outputs: detached tensors by name with the batch as first dimension, for metrics, plots and
            ``predict``.
    """

    loss: Tensor
    outputs: dict[str, Any]


class Task(TaskHooks):
    """Loss, metrics, decoding and plots for one kind of problem, independent of the model.

    Subclasses must implement ``compute_loss`` and may override ``update_metrics``, ``compute_metrics`` and
    the hooks of ``TaskHooks``: figures, predictions, explanations, embeddings.

    Args:
        model: the ``nn.Module`` to train.
        optimizer: factory called with the parameter groups; None if the task is only evaluated.
        scheduler: factory called with the optimizer, ``total_steps`` and ``steps_per_epoch``; or None.
        monitor: the logged metric used for checkpoint selection and early stopping, such as ``val/accuracy``;
            None uses the task's default. All tasks accept it, including those whose constructor does not list
            it.
        monitor_mode: whether lower or higher values of ``monitor`` are better; only needed if the metric's
            name does not imply it.
        metrics: further torchmetrics metrics, by the name under which they are logged. They receive what
            ``metric_inputs`` returns. All tasks accept them, too.

    Attributes:
        monitor: the metric used to select the best checkpoint.
        mode: whether lower or higher values of ``monitor`` are better.
        metric_modes: all metrics logged by validation during training, without the ``val/`` prefix, and
            whether lower or higher values are better; ``NAME/*`` stands for one metric per name.
        train_metric_modes: the same for the training split.
        required_outputs: names of the outputs that ``compute_loss`` must return, with a description of each.
        rejected_losses: loss classes that are invalid for the task.
        mixes: whether the targets are classes that MixUp and CutMix can blend.
        one_logit: whether the model returns a single logit for two classes.
        last_train_loss: loss of the most recent training batch, on the device.
        last_train_parts: the terms of that loss by name, if the task provides them; logged as ``train/NAME``.
        outputs: outputs of the last evaluation of each split; only filled if ``collect`` is set.
        decode: converts token ids to text; set from the data module when task and data are assembled.
    """

    monitor: str = "val/loss"
    mode: Literal["min", "max"] = "min"
    metric_modes: ClassVar[dict[str, Literal["min", "max"]]] = {"loss": "min"}
    train_metric_modes: ClassVar[dict[str, Literal["min", "max"]]] = {"epoch_loss": "min"}
    required_outputs: ClassVar[dict[str, str]] = {}
    rejected_losses: ClassVar[tuple[type, ...]] = ()
    mixes: ClassVar[bool] = False
    one_logit: ClassVar[bool] = False

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.class_names: list[str] = []
        self.optimizer_factory = optimizer
        self.scheduler_factory = scheduler
        self._saved_group_sizes: list[int] | None = None
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
        self.extra_metrics: ExtraMetrics | None = None

    def configure(
        self,
        monitor: str | None = None,
        monitor_mode: Literal["min", "max"] | None = None,
        metrics: dict[str, Metric] | None = None,
    ) -> None:
        """Sets what every task accepts besides the arguments of its constructor; None keeps the defaults."""
        self.choose_monitor(monitor, monitor_mode)
        if metrics:
            self.extra_metrics = ExtraMetrics(metrics)

    def choose_monitor(
        self, monitor: str | None = None, monitor_mode: Literal["min", "max"] | None = None
    ) -> None:
        """Selects the monitored metric; None keeps the task's own."""
        if monitor is not None:
            self.monitor = monitor
        if monitor_mode is not None:
            self.mode = monitor_mode

    configured_by = configure
    """Method called after construction; a config may set its arguments along with the constructor's."""

    @classmethod
    def default_monitor(cls, data: dict[str, Any]) -> tuple[str, Literal["min", "max"]]:
        """Returns the default monitored metric and its mode, given the settings of the data module."""
        return cls.monitor, cls.mode

    @classmethod
    def adapt_facts(cls, facts: Facts) -> Facts:
        """Adapts the facts of the data to this task.

        Raises:
            DataError: the data is not suitable for the task.
        """
        return facts

    @classmethod
    def check_model(cls, model: nn.Module, facts: Facts) -> None:
        """Checks a new model with one forward pass of zeros.

        Raises:
            UserError: the model does not fit the data.
        """
        check_output_shape(model, facts.input_shape, facts.num_outputs)

    # Hooks for subclasses

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        """Computes forward pass and loss of one batch, in training and evaluation.

        Args:
            batch: ``inputs``, ``targets`` and ``index`` of N samples, as the data module yields them.
        """
        raise TypeError(f"{type(self).__name__} must define compute_loss()")

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Any, Any]:
        """Returns the predictions and targets that the metrics of ``task.metrics`` receive for one batch.

        Args:
            outputs: the outputs of ``compute_loss``.

        Raises:
            UserError: the task does not support further metrics.
        """
        if "preds" in outputs and "targets" in outputs:
            return outputs["preds"], outputs["targets"]
        raise UserError(
            f"task.metrics: {type(self).__name__} supports no further metrics. Override metric_inputs() to "
            "return predictions and targets."
        )

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        """Updates the metrics of ``split`` with one evaluated batch.

        Implementations may remove entries from ``outputs`` that are too large to keep for every batch.

        Args:
            outputs: the outputs of ``compute_loss``.
            split: ``train``, ``val`` or ``test``.
        """

    def compute_metrics(self, split: str) -> Mapping[str, float | Tensor]:
        """Computes the metrics of the whole split and resets their state.

        Args:
            split: ``train``, ``val`` or ``test``.

        Returns:
            Scalars by name, without the ``SPLIT/`` prefix.
        """
        return {}

    # Lightning hooks

    def forward(self, inputs: Any) -> Any:
        if self.channels_last and inputs.dim() == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return self.model(inputs)

    def configure_model(self) -> None:
        """Shards the model across devices if the strategy supports it."""
        split_model = getattr(self.trainer.strategy, "split_model", None)
        if split_model is not None:
            split_model(self.model)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return self.record_loss(self.checked(self.compute_loss(batch)).loss, batch)

    def checked(self, step: StepOutput) -> StepOutput:
        """Returns the result of ``compute_loss`` if it is complete.

        Raises:
            UserError: it is not a ``StepOutput``, the loss is not a scalar, or a required output is missing.
        """
        name = type(self).__name__
        if not isinstance(step, StepOutput):
            raise UserError(
                f"{name}.compute_loss returned a {type(step).__name__}; expected StepOutput(loss, outputs)."
            )
        check_loss(name, step.loss)
        check_outputs(name, step.outputs, self.required_outputs)
        return step

    def record_loss(self, loss: Tensor, batch: dict[str, Any]) -> Tensor:
        """Scales the loss by the batch's weight and records it as the last training loss.

        With these weights, the mean over ranks is the loss of the whole batch even if their shares differ in
        size.
        """
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

    def zero_loss(self, _: int) -> Tensor:
        """Returns zero with a backward pass that takes part in gradient synchronization; see ZeroGradient."""
        parameters = (parameter for parameter in self.parameters() if parameter.requires_grad)
        zero: Tensor = ZeroGradient.apply(*parameters)
        return zero

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        if not getattr(self.trainer.strategy, "clears_gradients", False):
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def _evaluate(self, batch: dict[str, Any], split: str) -> None:
        step, count = self.eval_step(batch), self.batch_count(batch)
        self.add_loss(step, batch, count)
        self.update_extra_metrics(step.outputs, split)
        self.update_metrics(step.outputs, split)
        if self.collect:
            kept = {key: to_cpu(value) for key, value in step.outputs.items()}
            self._collected.append(kept | {"index": to_cpu(batch.get("index"))})

    def update_extra_metrics(self, outputs: dict[str, Any], split: str) -> None:
        """Updates the metrics of ``task.metrics`` with one evaluated batch."""
        if self.extra_metrics is not None:
            self.extra_metrics.update(split, *self.metric_inputs(outputs))

    def eval_step(self, batch: dict[str, Any]) -> StepOutput:
        """Computes the step of an evaluation batch, without label smoothing in the loss."""
        with without_smoothing(getattr(self, "loss", None)):
            return self.checked(self.compute_loss(batch))

    def summed_loss(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor | int]:
        """Computes the loss of an evaluation batch as sum and denominator, without metrics and decoding.

        The loss of a split is the total of the sums divided by the total of the denominators.
        """
        step, count = self.eval_step(batch), self.batch_count(batch)
        return precise(step.loss) * count, count

    def loss_over(self, batches: Iterable[dict[str, Any]]) -> float:
        """Computes the loss of a split from its batches alone, as in validation.

        Args:
            batches: batches of the split; the result does not depend on their size.
        """
        total, count = 0.0, 0.0
        for batch in batches:
            loss, weight = self.summed_loss(batch)
            total, count = total + float(loss), count + float(weight)
        return total / count if count else total

    def add_loss(self, step: StepOutput, batch: dict[str, Any], count: Tensor | int) -> None:
        """Adds the loss of an evaluation batch, a mean over ``count`` units, to that of its split."""
        self._loss_sum = precise(step.loss) * count + (0 if self._loss_sum is None else self._loss_sum)
        self._loss_count = count + self._loss_count

    def split_loss(self) -> float:
        """Computes the loss of the whole split over all ranks from the accumulated sums."""
        total, count = self.loss_sums()
        return total / count if count else total

    def loss_sums(self) -> tuple[float, float]:
        """Returns the accumulated sum and denominator of the split's loss over all ranks."""
        total, count = sum_over_ranks(
            float(0.0 if self._loss_sum is None else self._loss_sum), float(self._loss_count)
        )
        return total, count

    loss_denominator: Callable[[dict[str, Any]], Any] | None = None
    """Method that counts the units of a batch that its loss averages over; None if these are the samples."""

    def batch_count(self, batch: dict[str, Any]) -> Tensor | int:
        """Counts the units that the batch's loss averages over.

        With these counts as weights, the loss of a split is independent of the batch size.
        """
        if self.loss_denominator is None:
            return len(batch["inputs"])
        count: Tensor | int = self.loss_denominator(batch)
        return count

    def on_validation_epoch_end(self) -> None:
        self._finish_evaluation("val")

    def on_test_epoch_end(self) -> None:
        self._finish_evaluation("test")

    def _finish_evaluation(self, split: str) -> None:
        metrics = {f"{split}/{key}": float(value) for key, value in self.compute_metrics(split).items()}
        if self.extra_metrics is not None:
            extra = self.extra_metrics.compute(split, self.class_names)
            metrics |= {f"{split}/{key}": value for key, value in extra.items()}
        if self._loss_sum is not None:
            metrics[f"{split}/loss"] = self.split_loss()
        self._loss_sum, self._loss_count = None, 0
        if self.collect:
            self.outputs[split] = join(
                in_order(gather_to_rank0(split_by_batch(self._collected, self._ends_of_batches)))
            )
            self._collected = []
        self._ends_of_batches = []
        self.log_dict(metrics, logger=False)
        if (
            self.trainer.logger is not None
            and not self.trainer.sanity_checking
            and self.trainer.state.fn == "fit"
        ):
            self.trainer.logger.log_metrics(metrics, step=self.trainer.global_step)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the sizes of the optimizer's parameter groups, which a resumed run must have again."""
        states = checkpoint.get("optimizer_states") or []
        groups = [group for state in states[:1] for group in state["param_groups"]]
        self._saved_group_sizes = [len(group["params"]) for group in groups] or None

    def configure_optimizers(self) -> Any:
        if self.optimizer_factory is None:
            raise TypeError(f"{type(self).__name__} was built without an optimizer, so it cannot be trained")
        optimizer = build_optimizer(self.optimizer_factory, self.model, self._saved_group_sizes)
        schedule = self.make_schedule(optimizer, self.planned_steps())
        if schedule is None:
            return optimizer
        entry: dict[str, Any] = {
            "scheduler": schedule.scheduler,
            "interval": schedule.interval,
            "frequency": 1,
        }
        if schedule.monitor is not None:
            entry["monitor"] = schedule.monitor
            if schedule.monitor.startswith("val/"):  # only available after epochs with validation
                entry["frequency"] = self.trainer.check_val_every_n_epoch or 1
        return {"optimizer": optimizer, "lr_scheduler": entry}

    def planned_steps(self) -> int:
        """Returns the number of optimizer updates of the whole training; 0 if unknown."""
        steps = self.trainer.estimated_stepping_batches
        return int(steps) if math.isfinite(steps) else 0  # infinite if only max_time limits the training

    def make_schedule(self, optimizer: torch.optim.Optimizer, total_steps: int) -> Schedule | None:
        """Builds the learning-rate schedule for ``total_steps`` updates; None without a scheduler."""
        if self.scheduler_factory is None:
            return None
        steps_per_epoch = self.steps_per_epoch() or total_steps
        schedule: Schedule | None = self.scheduler_factory(
            optimizer, total_steps=total_steps, steps_per_epoch=steps_per_epoch
        )
        return schedule

    def steps_per_epoch(self) -> int:
        """Returns the number of optimizer updates in a full epoch; 0 if unknown.

        Training may stop earlier.
        """
        if self.trainer.train_dataloader is None:
            self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        return math.ceil(batches / self.trainer.accumulate_grad_batches) if math.isfinite(batches) else 0


def precise(loss: Tensor) -> Tensor:
    """Detaches a loss for accumulation, in double precision if the device supports it."""
    return loss.detach().float() if loss.device.type == "mps" else loss.detach().double()
