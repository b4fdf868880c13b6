"""Time-series forecasting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge
from PIL.Image import Image
from torch import Tensor, nn

from runner.data.series.window import float32_loses_digits
from runner.distributed.collectives import sum_over_ranks
from runner.errors import UserError
from runner.tasks.base import StepOutput, Task
from runner.tasks.explanation import ExplainedForecast, ExplanationRequest, ExplanationTarget, index_of
from runner.tasks.forecasting_figures import forecast_picture, forecasting_figures
from runner.tasks.rejected_losses import LOSSES_OF_CLASSES, LOSSES_OF_PROBABILITIES

__all__ = ["ForecastingTask"]

FEW_TARGETS = 12


class ForecastingTask(Task):
    """Forecasts H steps of K columns from the L preceding steps.

    Model, loss and the errors ``mse`` and ``mae`` use standardized values, as in the literature; ``mae/NAME``
    is in the unit of the data. ``naive_mse`` and ``naive_mae`` are the errors of the seasonal-naive forecast,
    which repeats the last season, on the same windows; ``skill`` is the relative reduction of its squared
    error. With several series there are also ``mse_series/ID`` (standardized by the series' own deviation)
    and ``mae_series/ID`` (in its own unit; ``mae_series/ID/NAME`` for several columns). Values in the unit of
    the data are float64 to keep precision for large offsets.

    Args:
        model: maps standardized inputs ``(N, L, F)`` to ``(N, H · K)``.
        loss: loss of standardized predictions and targets, both flattened.
        horizon_steps: number of forecast steps, H.
        season_steps: season length of the naive forecast; 1 repeats the last value.
        target_columns: indices of the K forecast columns among the F columns.
        target_names: names of the forecast columns.
        target_mean, target_std: statistics of the training steps, ``(K,)``. If each series has its own,
            batches contain them.
        series_names: ids of the series with separate metrics.
        subtract_last: whether forecast columns are given to the model and predicted relative to their last
            value, which makes the forecast robust to level shifts (NLinear; Zeng et al., arXiv:2205.13504).
    """

    target_mean: Tensor
    target_std: Tensor

    monitor = "val/mse"
    mode = "min"
    metric_modes: ClassVar = {
        "loss": "min",
        "mse": "min",
        "mae": "min",
        "skill": "max",
        "naive_mse": "min",
        "naive_mae": "min",
        "mae/*": "min",
        "mse/*": "min",
        "skill/*": "max",
    }
    required_outputs: ClassVar = dict.fromkeys(
        ("preds", "targets", "naive"), "(N, H, K) in the unit of the data"
    )
    served_as = "forecast values in the unit of the data, (N, H, K)"
    explains_steps = True
    rejected_losses: ClassVar = LOSSES_OF_CLASSES + LOSSES_OF_PROBABILITIES

    def __init__(
        self,
        model: nn.Module,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        loss: nn.Module | None = None,
        horizon_steps: Annotated[int, Ge(1)] = 1,
        season_steps: Annotated[int, Ge(1)] = 1,
        target_columns: Sequence[int] = (0,),
        target_names: Sequence[str] = ("value",),
        target_mean: Sequence[float] = (0.0,),
        target_std: Sequence[float] = (1.0,),
        subtract_last: bool = True,
        series_names: Sequence[str] = (),
    ) -> None:
        super().__init__(model, optimizer, scheduler)
        self.loss = loss if loss is not None else nn.MSELoss()
        self.horizon_steps = horizon_steps
        self.season_steps = season_steps
        self.target_columns = list(target_columns)
        self.target_names = [str(name) for name in target_names]
        self.subtract_last = subtract_last
        self.needs_float64 = float32_loses_digits(target_mean, target_std)
        self.series_names = [str(name) for name in series_names]
        std = torch.as_tensor(target_std, dtype=torch.float64)
        self.register_buffer("target_mean", torch.as_tensor(target_mean, dtype=torch.float64))
        self.register_buffer("target_std", torch.where(std == 0, 1.0, std))
        self.sums: dict[str, Tensor] = {}
        self.series_sums: dict[str, Tensor] = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ForecastingTask:
        """Keeps mean and standard deviation in float64, and on the CPU if the device is MPS.

        Lightning converts all buffers to the precision of the run.
        """
        kept = {"target_mean": self.target_mean, "target_std": self.target_std}
        for name in kept:
            del self._buffers[name]
        device = fn(torch.zeros(1)).device
        super()._apply(fn, recurse)
        for name, values in kept.items():
            self.register_buffer(name, values if device.type == "mps" else values.to(device))
        return self

    def forecast(self, inputs: Tensor) -> Tensor:
        """Forecasts standardized values: ``(N, L, F)`` → ``(N, H, K)``."""
        last = inputs[:, -1:, self.target_columns]
        if self.subtract_last:
            inputs = inputs.clone()
            inputs[:, :, self.target_columns] -= last
        scaled = self(inputs).float().reshape(inputs.shape[0], self.horizon_steps, len(self.target_columns))
        return scaled + last if self.subtract_last else scaled

    def naive(self, inputs: Tensor) -> Tensor:
        """Repeats the last season: standardized ``(N, H, K)``."""
        steps = torch.arange(self.horizon_steps, device=inputs.device) % self.season_steps
        return inputs[:, inputs.shape[1] - self.season_steps + steps][:, :, self.target_columns]

    def compute_loss(self, batch: dict[str, Any]) -> StepOutput:
        mean, std = batch.get("target_mean", self.target_mean), batch.get("target_std", self.target_std)
        wanted = batch.get("standardized")
        if wanted is None:
            wanted = self.standardize(batch["targets"])
        known = ~wanted.isnan()
        preds = self.forecast(batch["inputs"])
        if bool(known.all()):
            loss = self.loss(preds.flatten(), wanted.flatten())
        else:  # without known values, loss and gradients are 0
            loss = self.loss(preds[known], wanted[known]) if bool(known.any()) else 0.0 * preds.sum()
        scaled = {"preds": preds.detach(), "targets": wanted, "naive": self.naive(batch["inputs"])}
        outputs = {name: to_unit(values, mean, std) for name, values in scaled.items()}
        if "series" in batch:
            outputs |= {"std": std, "series": batch["series"]}
        return StepOutput(loss, outputs)

    def loss_denominator(self, batch: dict[str, Any]) -> Tensor:
        """Counts the known target values."""
        return (~batch["targets"].isnan()).sum()

    def standardize(self, targets: Tensor) -> Tensor:
        """Standardizes values in the unit of the data; float32 ``(N, H, K)``."""
        values = targets.cpu() if targets.device.type == "mps" else targets
        return ((values.double() - self.target_mean) / self.target_std).float().to(targets.device)

    def to_unit(self, scaled: Tensor) -> Tensor:
        """Converts standardized values to the unit of the data, float64."""
        return to_unit(scaled, self.target_mean, self.target_std)

    def metric_inputs(self, outputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Returns predictions and targets of the known values in the unit of the data, float64 ``(M,)``."""
        preds, targets = outputs["preds"].double(), outputs["targets"].double()
        known = ~targets.isnan()
        return preds[known], targets[known]

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        """Adds the batch's sums for each target, ``(6, K)``.

        These are the known values, squared and absolute errors of the model and of the naive forecast, and
        the model's absolute errors in the unit of the data.
        """
        targets, std = outputs["targets"].double(), outputs.get("std", self.target_std)
        known = ~targets.isnan()
        errors = [torch.where(known, outputs[of].double() - targets, 0.0) / std for of in ("preds", "naive")]
        rows = [known.double(), *(part for error in errors for part in (error**2, error.abs()))]
        in_unit = (errors[0] * std).abs()
        sums = torch.stack([row.sum((0, 1)) for row in [*rows, in_unit]])
        self.sums[split] = self.sums[split] + sums if split in self.sums else sums
        if self.series_names and "series" in outputs:
            each = torch.stack([row.sum(1) for row in (rows[0], rows[1], in_unit)], dim=1)  # (N, 3, K)
            empty = each.new_zeros(len(self.series_names), *each.shape[1:])
            total = self.series_sums.get(split, empty)
            self.series_sums[split] = total.index_add(0, outputs["series"].to(each.device), each)

    def compute_metrics(self, split: str) -> dict[str, float]:
        sums = self.sums.pop(split, torch.zeros(6, len(self.target_names), dtype=torch.float64))
        sums = torch.tensor(sum_over_ranks(*sums.flatten().tolist()), dtype=torch.float64).view(6, -1)
        count, each = sums[0].sum(), sums[1:5].sum(1)
        if not count:
            return {}
        mse, mae, naive_mse, naive_mae = (each / count).tolist()
        values = {"mse": mse, "mae": mae, "naive_mse": naive_mse, "naive_mae": naive_mae}
        if naive_mse:
            values["skill"] = 1 - mse / naive_mse
        if len(self.target_names) <= FEW_TARGETS:
            in_unit = (sums[5] / sums[0]).tolist()
            values |= {f"mae/{name}": value for name, value in zip(self.target_names, in_unit, strict=True)}
        return values | self.series_metrics(split)

    def series_metrics(self, split: str) -> dict[str, float]:
        """Computes the errors of each series that has known values in the split."""
        if not self.series_names:
            return {}
        shape = (len(self.series_names), 3, len(self.target_names))
        sums = self.series_sums.pop(split, torch.zeros(shape, dtype=torch.float64))
        sums = torch.tensor(sum_over_ranks(*sums.flatten().tolist()), dtype=torch.float64).view(shape)
        values = {}
        for name, (count, squares, in_unit) in zip(self.series_names, sums.unbind(), strict=True):
            if count.sum():
                values[f"mse_series/{name}"] = float(squares.sum() / count.sum())
            for column, target in enumerate(self.target_names):
                if count[column] and len(self.target_names) <= FEW_TARGETS:
                    suffix = "" if len(self.target_names) == 1 else f"/{target}"
                    values[f"mae_series/{name}{suffix}"] = float(in_unit[column] / count[column])
        return values

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        return {"preds": self.to_unit(self.forecast(inputs))}

    def served(self, outputs: dict[str, Any]) -> Tensor:
        """Returns the forecast as float32, or as float64 for large offsets."""
        return outputs["preds"] if self.needs_float64 else outputs["preds"].float()

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns one dict per window; ``NAME+1`` is the first step after the input window."""
        names = [f"{name}+{step}" for step in range(1, self.horizon_steps + 1) for name in self.target_names]
        return [dict(zip(names, row, strict=True)) for row in outputs["preds"].flatten(1).cpu().tolist()]

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        pairs = zip(self.rows({"preds": outputs["targets"]}), self.rows(outputs), strict=True)
        return [{"target": target, "prediction": pred} for target, pred in pairs]

    def pictures(self, inputs: Sequence[Tensor], outputs: dict[str, Any]) -> list[dict[str, Image]]:
        past = [window[:, self.target_columns].numpy() for window in inputs]
        preds = outputs["preds"].cpu().numpy()
        return [
            {"forecast": forecast_picture(*pair, self.target_names)} for pair in zip(past, preds, strict=True)
        ]

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        if self.outputs[split]:
            yield from forecasting_figures(self, split, data)

    def explanation_targets(self, request: ExplanationRequest) -> list[ExplanationTarget]:
        """Explains the mean forecast of a column, or its forecast for one step, in the unit of the data."""
        names, step = self.target_names, request.step
        number = 0 if request.target is None else index_of(request.target, names, "target")
        if step is not None and step > self.horizon_steps:
            raise UserError(f"--step {step}: the run forecasts {self.horizon_steps} steps.")
        steps = slice(None) if step is None else slice(step - 1, step)

        def score(batch: Tensor) -> Tensor:
            return self.to_unit(self.forecast(batch))[:, steps, number].mean(1)

        with torch.no_grad():
            preds = self.to_unit(self.forecast(request.inputs))[0].cpu()
        ahead = f"mean of {self.horizon_steps} steps ahead" if step is None else f"step {step} ahead"
        ahead = "one step ahead" if self.horizon_steps == 1 else ahead
        truth = ""
        if request.truth is not None:
            truth = f"{float(np.nanmean(request.truth[steps, number].numpy())):.4g}"
        return [
            ExplanationTarget(
                score,
                f"{names[number]}, {ahead}",
                f"{float(preds[steps, number].mean()):.4g}",
                unit=names[number],
                truth=truth,
                forecast=ExplainedForecast(preds.numpy(), self.target_columns[number], number),
            )
        ]


def to_unit(scaled: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Converts standardized values ``(N, H, K)`` to the unit of the data in float64.

    MPS does not support float64, so its values are moved to the CPU.
    """
    scaled = scaled.cpu() if scaled.device.type == "mps" else scaled
    return scaled.double() * std + mean
