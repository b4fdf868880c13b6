"""Numbers from an input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection, R2Score

from runner.plots.regression import regression_panels
from runner.tasks.base import Step, Task

__all__ = ["RegressionTask"]


class RegressionTask(Task):
    """Numbers ``(N, K)``. Model and loss work on standardised targets, metrics in the data's own unit.

    Args:
        model: inputs to ``(N, K)``.
        loss: of standardised predictions and targets.
        target_mean, target_std: of the training targets, ``(K,)``.
        target_names: what the K numbers are.
    """

    monitor = "val/rmse"
    mode = "min"
    served_as = "predicted values in the unit of the data"
    refused_losses: ClassVar = (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.BCELoss, nn.NLLLoss)

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        target_mean: Sequence[float] = (0.0,),
        target_std: Sequence[float] = (1.0,),
        target_names: Sequence[str] = ("target",),
    ):
        super().__init__(model, optimizer, scheduler)
        self.loss = loss if loss is not None else nn.MSELoss()
        self.target_names = list(target_names)
        self.register_buffer("target_mean", torch.as_tensor(target_mean, dtype=torch.float32).reshape(1, -1))
        self.register_buffer("target_std", torch.as_tensor(target_std, dtype=torch.float32).reshape(1, -1))
        self.metrics = nn.ModuleDict({f"{split}_metrics": make_metrics() for split in ("val", "test")})

    def step(self, batch: dict[str, Any]) -> Step:
        targets = batch["targets"].float().reshape(len(batch["targets"]), -1)
        scaled = self(batch["inputs"]).float().reshape(targets.shape)
        loss = self.loss(scaled, (targets - self.target_mean) / self.target_std)
        return Step(loss, {"preds": self.to_unit(scaled.detach()), "targets": targets})

    def to_unit(self, scaled: Tensor) -> Tensor:
        """Standardised predictions in the data's own unit."""
        return scaled * self.target_std + self.target_mean

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        preds, targets = outputs["preds"].reshape(-1), outputs["targets"].reshape(-1)
        self.metrics[f"{split}_metrics"].update(preds, targets)

    def compute_metrics(self, split: str) -> dict[str, Tensor]:
        metrics = self.metrics[f"{split}_metrics"]
        values = metrics.compute()
        metrics.reset()
        return values

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        scaled = self(inputs).float()
        return {"preds": self.to_unit(scaled.reshape(len(inputs), -1))}

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        return [dict(zip(self.target_names, row, strict=True)) for row in outputs["preds"].cpu().tolist()]

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        outputs = self.outputs[split]
        if outputs:
            preds, targets = outputs["preds"].numpy(), outputs["targets"].numpy()
            title = f"Predictions and residuals ({split})"
            yield f"{split}_regression", regression_panels(preds, targets, self.target_names, title)


def make_metrics() -> MetricCollection:
    """Root of the mean squared error, mean absolute error, share of variance explained."""
    return MetricCollection({"rmse": MeanSquaredError(squared=False), "mae": MeanAbsoluteError(), "r2": R2Score()})
