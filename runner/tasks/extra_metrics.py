"""Metrics that a config adds to those of a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from runner.errors import UserError

__all__ = ["ExtraMetrics"]


class ExtraMetrics(nn.Module):
    """The metrics of ``task.metrics``, with separate states for validation and test.

    Args:
        metrics: metrics by the name under which they are logged.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        super().__init__()
        self.by_split = nn.ModuleDict(
            {
                split: nn.ModuleDict({name: metric.clone() for name, metric in metrics.items()})
                for split in ("val", "test")
            }
        )

    def of_split(self, split: str) -> Iterator[tuple[str, Metric]]:
        """Yields the names and metrics of a split."""
        metrics = self.by_split[split]
        assert isinstance(metrics, nn.ModuleDict)
        for name, metric in metrics.items():
            assert isinstance(metric, Metric)
            yield name, metric

    def update(self, split: str, preds: Any, targets: Any) -> None:
        """Updates the metrics of a split with one batch.

        Args:
            split: ``val`` or ``test``.
            preds: predictions, in the form that the metric expects.
            targets: targets, in the form that the metric expects.

        Raises:
            UserError: a metric rejected the batch.
        """
        for name, metric in self.of_split(split):
            if isinstance(preds, Tensor) and preds.is_floating_point():
                metric.set_dtype(preds.dtype)
            try:
                metric.update(preds, targets)
            except (ValueError, TypeError, RuntimeError, IndexError, KeyError) as error:
                raise UserError(
                    f"task.metrics.{name}: {type(metric).__name__} does not accept predictions "
                    f"{described(preds)} with targets {described(targets)}: {error}"
                ) from error

    def compute(self, split: str, labels: Sequence[str] = ()) -> dict[str, float]:
        """Computes the metrics of a whole split and resets their state.

        Args:
            split: ``val`` or ``test``.
            labels: names of the values of a metric that returns one per class.
        """
        values: dict[str, float] = {}
        for name, metric in self.of_split(split):
            values |= dict(named_values(name, metric.compute(), labels))
            metric.reset()
        return values


def named_values(name: str, value: Any, labels: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Yields ``NAME`` and a number, or ``NAME/LABEL`` and a number for each element of a vector or dict.

    Raises:
        UserError: the value consists of something other than numbers.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from named_values(f"{name}/{key}", item, labels)
        return
    try:
        numbers = torch.as_tensor(value).detach().double().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"task.metrics.{name}: compute() returned a {type(value).__name__}; expected a number, a vector "
            "or a dict of numbers."
        ) from error
    if numbers.numel() == 1:
        yield name, float(numbers)
        return
    flat = numbers.flatten().tolist()
    keys = labels if len(labels) == len(flat) else range(len(flat))
    for key, number in zip(keys, flat, strict=True):
        yield f"{name}/{key}", number


def described(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"of shape {tuple(value.shape)} ({str(value.dtype).removeprefix('torch.')})"
    return f"in a {type(value).__name__}"
