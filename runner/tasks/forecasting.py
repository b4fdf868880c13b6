"""The next steps of a series."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from PIL.Image import Image
from torch import Tensor, nn

from runner.ranks.exchange import sum_over_ranks
from runner.tasks.base import Step, Task
from runner.tasks.forecasting_figures import forecast_picture, forecasting_figures

__all__ = ["ForecastingTask"]

FEW_TARGETS = 12


class ForecastingTask(Task):
    """H steps of K columns from the L steps before them.

    Model and loss work on standardised values, and so do the errors ``mse`` and ``mae``, as the literature has them;
    ``mae/NAME`` is in the unit of the data. Beside each stands the error of the seasonal-naive forecast, the last
    season once more, on the same windows; ``skill`` is the share of its squared error that is saved.

    Args:
        model: standardised inputs ``(N, L, F)`` to ``(N, H · K)``.
        loss: of standardised predictions and targets, both flat.
        horizon_steps: H.
        season_steps: of the naive forecast; 1 repeats the last value.
        target_columns: where among the F columns the K to forecast are.
        target_names: what they are called.
        target_mean, target_std: of the training steps, ``(K,)``.
        subtract_last: the model sees the columns to forecast relative to their last value, and its answer is counted
            from there, so that a level that has shifted since training does no harm (NLinear; Zeng et al.,
            arXiv:2205.13504).
    """

    monitor = "val/mse"
    mode = "min"
    served_as = "forecast values in the unit of the data, (N, H, K)"
    refused_losses: ClassVar = (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.BCELoss, nn.NLLLoss)

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
    ):
        super().__init__(model, optimizer, scheduler)
        self.loss = loss if loss is not None else nn.MSELoss()
        self.horizon_steps = horizon_steps
        self.season_steps = season_steps
        self.target_columns = list(target_columns)
        self.target_names = [str(name) for name in target_names]
        self.subtract_last = subtract_last
        std = torch.as_tensor(target_std, dtype=torch.float32)
        self.register_buffer("target_mean", torch.as_tensor(target_mean, dtype=torch.float32))
        self.register_buffer("target_std", torch.where(std == 0, 1.0, std))
        self.sums: dict[str, Tensor] = {}

    def forecast(self, inputs: Tensor) -> Tensor:
        """Standardised ``(N, L, F)`` → standardised ``(N, H, K)``."""
        last = inputs[:, -1:, self.target_columns]
        if self.subtract_last:
            inputs = inputs.clone()
            inputs[:, :, self.target_columns] -= last
        scaled = self(inputs).float().reshape(inputs.shape[0], self.horizon_steps, len(self.target_columns))
        return scaled + last if self.subtract_last else scaled

    def naive(self, inputs: Tensor) -> Tensor:
        """The last season once more, standardised ``(N, H, K)``."""
        steps = torch.arange(self.horizon_steps, device=inputs.device) % self.season_steps
        return inputs[:, inputs.shape[1] - self.season_steps + steps][:, :, self.target_columns]

    def step(self, batch: dict[str, Any]) -> Step:
        targets = batch["targets"].float()
        known = ~targets.isnan()
        preds, wanted = self.forecast(batch["inputs"]), (targets - self.target_mean) / self.target_std
        if bool(known.all()):
            loss = self.loss(preds.flatten(), wanted.flatten())
        else:  # of no known value the loss is 0, and so are its gradients
            loss = self.loss(preds[known], wanted[known]) if bool(known.any()) else 0.0 * preds.sum()
        preds, naive = self.to_unit(preds.detach()), self.to_unit(self.naive(batch["inputs"]))
        return Step(loss, {"preds": preds, "targets": targets, "naive": naive})

    def loss_units(self, batch: dict[str, Any]) -> Tensor:
        """Values that are known."""
        return (~batch["targets"].isnan()).sum()

    def to_unit(self, scaled: Tensor) -> Tensor:
        """Standardised values in the data's own unit."""
        return scaled * self.target_std + self.target_mean

    def update_metrics(self, outputs: dict[str, Any], split: str) -> None:
        """Sums over the batch of each target's squared and absolute errors, ours and the naive ones', ``(5, K)``."""
        targets, std = outputs["targets"].double(), self.target_std.double()
        known = ~targets.isnan()
        errors = [torch.where(known, outputs[of].double() - targets, 0.0) / std for of in ("preds", "naive")]
        rows = [known.double(), *(part for error in errors for part in (error**2, error.abs()))]
        sums = torch.stack([row.sum((0, 1)) for row in rows])
        self.sums[split] = self.sums[split] + sums if split in self.sums else sums

    def compute_metrics(self, split: str) -> dict[str, float]:
        sums = self.sums.pop(split, torch.zeros(5, len(self.target_names), dtype=torch.float64))
        sums = torch.tensor(sum_over_ranks(*sums.flatten().tolist())).view(5, -1)
        count, each = sums[0].sum(), sums[1:].sum(1)
        if not count:
            return {}
        mse, mae, naive_mse, naive_mae = (each / count).tolist()
        values = {"mse": mse, "mae": mae, "naive_mse": naive_mse, "naive_mae": naive_mae}
        if naive_mse:
            values["skill"] = 1 - mse / naive_mse
        if len(self.target_names) <= FEW_TARGETS:
            in_unit = (sums[2] / sums[0] * self.target_std.cpu()).tolist()
            values |= {f"mae/{name}": value for name, value in zip(self.target_names, in_unit, strict=True)}
        return values

    def predict_outputs(self, inputs: Tensor) -> dict[str, Any]:
        return {"preds": self.to_unit(self.forecast(inputs))}

    def rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """``NAME+1`` is the first step behind the last that was read."""
        names = [f"{name}+{step}" for step in range(1, self.horizon_steps + 1) for name in self.target_names]
        return [dict(zip(names, row, strict=True)) for row in outputs["preds"].flatten(1).cpu().tolist()]

    def evaluated_rows(self, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        pairs = zip(self.rows({"preds": outputs["targets"]}), self.rows(outputs), strict=True)
        return [{"target": target, "prediction": pred} for target, pred in pairs]

    def pictures(self, inputs: Sequence[Tensor], outputs: dict[str, Any]) -> list[dict[str, Image]]:
        past = [one[:, self.target_columns].numpy() for one in inputs]
        preds = outputs["preds"].cpu().numpy()
        return [
            {"forecast": forecast_picture(*pair, self.target_names)} for pair in zip(past, preds, strict=True)
        ]

    def figures(self, split: str, data: Any) -> Iterator[tuple[str, Any]]:
        if self.outputs[split]:
            yield from forecasting_figures(self, split, data)
