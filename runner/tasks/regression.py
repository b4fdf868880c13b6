"""Regression."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

from runner.data.standardize import MAX_ROUNDING
from runner.plots.regression import regression_panels
from runner.tasks.base import StepOutput, Task
from runner.tasks.explanation import ExplanationRequest, ExplanationTarget, format_values, index_of
from runner.tasks.members import average_members, repeat_for_members
from runner.tasks.rejected_losses import LOSSES_OF_CLASSES, LOSSES_OF_PROBABILITIES
from runner.tasks.typed_modules import TypedModuleDict

__all__ = ["RegressionTask"]

FEW_TARGETS = 12
"""Maximum number of targets for which per-target scores are reported."""


class RegressionTask(Task):
    """Regression of K numbers, ``(N, K)``.

    Model and loss use standardized targets, metrics the unit of the data. Predictions and metrics are float64
    (float32 on MPS), so that differences between targets far from 0, such as times in seconds, are preserved.

    With several targets, ``rmse``, ``mae`` and ``r2`` are means over the targets, as in scikit-learn, and
    ``rmse/NAME`` and ``r2/NAME`` are the scores of each target. A mean over different units is dominated by
    the target with the largest values, so the monitored metric is the standardized ``val/loss`` for several
    targets, and ``val/rmse`` for one.

    Args:
        model: maps inputs to ``(N, K)``.
        loss: loss of standardized predictions and targets.
        target_mean, target_std: statistics of the training targets, ``(K,)``.
        target_names: names of the K targets.
    """

    target_mean: Tensor
    target_std: Tensor

    monitor = "val/rmse"
    mode = "min"
    metric_modes: ClassVar = {
        "loss": "min", "rmse": "min", "mae": "min", "r2": "max", "rmse/*": "min", "r2/*": "max",
    }  # fmt: skip
    required_outputs: ClassVar = {
        "preds": "(N, K) in the unit of the data",
        "targets": "(N, K) in the unit of the data",
    }
    served_as = "predicted values in the unit of the data"
    rejected_losses: ClassVar = LOSSES_OF_CLASSES + LOSSES_OF_PROBABILITIES

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        target_mean: Sequence[float] = (0.0,),
        target_std: Sequence[float] = (1.0,),
        target_names: Sequence[str] = ("target",),
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.loss = loss if loss is not None else nn.MSELoss()
        self.target_names = list(target_names)
        if len(self.target_names) > 1:
            self.monitor = "val/loss"
        self.register_buffer("target_mean", torch.as_tensor(target_mean, dtype=torch.float32).reshape(1, -1))
        std = torch.as_tensor(target_std, dtype=torch.float32).reshape(1, -1)
        self.register_buffer("target_std", torch.where(std == 0, 1.0, std))  # constant targets
        exact_mean = torch.as_tensor(target_mean, dtype=torch.float64).reshape(1, -1)
        exact_std = torch.as_tensor(target_std, dtype=torch.float64).reshape(1, -1)
        self.exact = (exact_mean, torch.where(exact_std == 0, 1.0, exact_std))
        self.is_far = is_far(*self.exact)
        self.register_load_state_dict_post_hook(keep_loaded_statistics)
        num_targets = len(self.target_names)
        self.metrics: TypedModuleDict[MetricCollection] = TypedModuleDict(
            {f"{split}_metrics": make_metrics(num_targets) for split in ("val", "test")}
        )

    @classmethod
    def default_monitor(cls, data: dict[str, Any]) -> tuple[str, Literal["min", "max"]]:
        target = data.get("target")
        several = isinstance(target, list | tuple) and len(target) > 1
        return ("val/loss" if several else cls.monitor), cls.mode

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        targets = batch["targets"].reshape(len(batch["targets"]), -1)
        targets = targets if targets.dtype == torch.float64 else targets.float()
        outputs = self(batch["inputs"]).float()
        scaled, goals = repeat_for_members(outputs, self.standardised(targets).float())
        loss = self.loss(scaled.reshape(goals.shape), goals)
        scaled = average_members(outputs).reshape(targets.shape)
        return StepOutput(loss, {"preds": self.to_unit(scaled.detach()), "targets": targets})

    def standardised(self, values: Tensor) -> Tensor:
        """Standardizes values ``(N, K)`` by the statistics of the training targets, keeping their dtype."""
        mean, std = self.statistics(values)
        return (values - mean) / std

    def statistics(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation with the dtype and device of ``values``."""
        if values.dtype == torch.float64:
            return self.exact[0].to(values.device), self.exact[1].to(values.device)
        return self.target_mean, self.target_std

    def to_unit(self, scaled: Tensor) -> Tensor:
        """Converts standardized predictions to the unit of the data."""
        scaled = as_exact(scaled)
        mean, std = self.statistics(scaled)
        return scaled * std + mean

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns predictions and targets in the unit of the data, float64 ``(N, K)``; ``(N,)`` if K is 1."""
        preds, targets = as_exact(outputs["preds"]), as_exact(outputs["targets"])
        return (preds[:, 0], targets[:, 0]) if preds.shape[1] == 1 else (preds, targets)

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        """Updates the metrics with standardized values, which avoids precision loss in sums of squares."""
        preds, targets = (self.standardised(as_exact(outputs[name])) for name in ("preds", "targets"))
        metrics = self.metrics[f"{split}_metrics"]
        for metric in metrics.values():
            metric.set_dtype(preds.dtype)
        metrics.update(preds, targets)

    def compute_metrics(self, split: str) -> dict[str, float]:
        metrics = self.metrics[f"{split}_metrics"]
        scores = {name: value.reshape(-1).cpu() for name, value in metrics.compute().items()}
        metrics.reset()
        std = self.exact[1].flatten()
        scores |= {name: scores[name] * std for name in ("rmse", "mae")}
        values = {name: float(each.mean()) for name, each in scores.items()}
        if 1 < len(self.target_names) <= FEW_TARGETS:
            for name in ("rmse", "r2"):
                by_target = zip(self.target_names, scores[name].tolist(), strict=True)
                values |= {f"{name}/{target}": value for target, value in by_target}
        return values

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        scaled = self(inputs).float()
        return {"preds": self.to_unit(scaled.reshape(inputs.shape[0], -1))}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        """Returns the predictions as float32, or as float64 if float32 would lose their differences."""
        return outputs["preds"] if self.is_far else outputs["preds"].float()

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        return [dict(zip(self.target_names, row, strict=True)) for row in outputs["preds"].cpu().tolist()]

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        pairs = zip(outputs["targets"].tolist(), outputs["preds"].tolist(), strict=True)
        if len(self.target_names) == 1:
            return [{"target": target[0], "prediction": pred[0]} for target, pred in pairs]
        named = [[dict(zip(self.target_names, values, strict=True)) for values in pair] for pair in pairs]
        return [{"target": target, "prediction": pred} for target, pred in named]

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        outputs = self.outputs[split]
        if outputs:
            preds, targets = outputs["preds"].numpy(), outputs["targets"].numpy()
            title = f"Predictions and residuals ({split})"
            yield f"{split}_regression", regression_panels(preds, targets, self.target_names, title)

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains a predicted number in the unit of the data."""
        names = self.target_names
        number = 0 if request.target is None else index_of(request.target, names, "target")

        def score(batch: Tensor) -> Tensor:
            return self.to_unit(request.forward(batch).float().reshape(len(batch), -1))[:, number]

        with torch.no_grad():
            prediction = f"{float(score(request.inputs)[0]):.4g}"
        truth = format_values(request.truth)
        return [ExplanationTarget(score, names[number], prediction, unit=names[number], truth=truth)]

    def permutation_quality(self, target: str | None) -> tuple[str, Callable[[Tensor, Tensor], Tensor]]:
        """Measures R², averaged over the targets unless one is requested."""
        number = None if target is None else index_of(target, self.target_names, "target")

        def r2(inputs: Tensor, targets: Tensor) -> Tensor:
            wanted = targets.double().reshape(len(targets), -1)
            spread = ((wanted - wanted.mean(0)) ** 2).sum(0).clamp(min=1e-12)
            preds = self.to_unit(self(inputs).float().reshape(len(inputs), -1)).double()
            scores = 1 - ((preds - wanted) ** 2).sum(0) / spread
            return scores.mean() if number is None else scores[number]

        return "R²", r2


def as_exact(values: Tensor) -> Tensor:
    """Converts to double precision if the device supports it."""
    return values.float() if values.device.type == "mps" else values.double()


def is_far(mean: Tensor, std: Tensor) -> bool:
    """Returns whether float32 is too coarse for differences between values around this mean."""
    return bool((mean.abs() * torch.finfo(torch.float32).eps > MAX_ROUNDING * std).any())


def keep_loaded_statistics(task: RegressionTask, _: Any) -> None:
    """Replaces the statistics by those of a checkpoint; keeps the float64 ones if they agree in float32."""
    for index, loaded in enumerate((task.target_mean, task.target_std)):
        if not torch.equal(loaded.float().cpu(), task.exact[index].float()):
            mean, std = task.exact
            exact = loaded.double().cpu()
            task.exact = (exact, std) if index == 0 else (mean, exact)
    task.is_far = is_far(*task.exact)


def make_metrics(num_targets: int) -> MetricCollection:
    """Builds per-target root mean squared error, mean absolute error and coefficient of determination."""
    return MetricCollection(
        {
            "rmse": MeanSquaredError(squared=False, num_outputs=num_targets),
            "mae": MeanAbsoluteError(num_outputs=num_targets),
            "r2": R2Score(multioutput="raw_values"),
        }
    )
