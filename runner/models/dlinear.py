"""DLinear, a linear baseline for long-horizon forecasting."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional

from runner.errors import UserError

__all__ = ["DLinear"]


class DLinear(nn.Module):
    """Forecasts each target from its own past.

    With one linear layer for the moving average and one for the remainder.

    Zeng et al.: Are transformers effective for time series forecasting? (arXiv:2205.13504). The layers are
    initialized to averages over the past.

    Args:
        input_steps: number of input steps, L.
        horizon_steps: number of forecast steps, H.
        target_columns: indices of the forecast columns among the F columns.
        kernel_size: steps of the moving average, odd; 1 uses a single linear layer.
        individual: whether each target has its own layers.
    """

    unit_dims = (1, 2)
    """Dimensions of ``weight``, layer and forecast step, that together index one output."""

    def __init__(
        self,
        input_steps: Annotated[int, Ge(1)],
        horizon_steps: Annotated[int, Ge(1)],
        target_columns: list[int],
        kernel_size: Annotated[int, Ge(1)] = 25,
        individual: bool = False,
    ) -> None:
        super().__init__()
        self.check(kernel_size)
        self.target_columns = list(target_columns)
        self.kernel_size = kernel_size
        self.num_layers = len(self.target_columns) if individual else 1
        shape = (1 if kernel_size == 1 else 2, self.num_layers, horizon_steps, input_steps)
        self.weight = nn.Parameter(torch.full(shape, 1 / input_steps))
        self.bias = nn.Parameter(torch.zeros(self.num_layers, horizon_steps))

    @staticmethod
    def check(kernel_size: int = 25) -> None:
        """Checks the arguments that do not depend on the data.

        Raises:
            UserError: ``kernel_size`` is even.
        """
        if kernel_size % 2 == 0:
            raise UserError(
                f"kernel_size={kernel_size}: expected an odd number, so that the average is centered."
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, L, F)`` → ``(N, H · K)``, ordered by step."""
        past = inputs[:, :, self.target_columns].transpose(1, 2)
        if self.kernel_size == 1:
            parts = [past]
        else:
            half = self.kernel_size // 2
            padded = functional.pad(past, (half, half), mode="replicate")
            trend = functional.avg_pool1d(padded, self.kernel_size, stride=1)
            parts = [past - trend, trend]
        ahead = sum(self.project(part, weight) for part, weight in zip(parts, self.weight, strict=True))
        return (ahead + self.bias).transpose(1, 2).flatten(1)

    def project(self, part: Tensor, weight: Tensor) -> Tensor:
        """``(N, K, L)`` → ``(N, K, H)``."""
        if self.num_layers == 1:
            return part @ weight[0].T
        return torch.einsum("nkl,khl->nkh", part, weight)
