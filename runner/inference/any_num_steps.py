"""Exported recurrent networks that take sequences of any length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

__all__ = ["any_num_steps"]

KERNELS = ("lstm", "gru", "rnn_tanh", "rnn_relu")


@contextmanager
def any_num_steps() -> Iterator[None]:
    """Lets ``torch.export`` keep the number of steps of recurrent operations free.

    PyTorch derives the shapes of their outputs by a loop over the steps, which makes the number of steps a constant of
    the graph. Within this context the shapes come from those of the inputs; the graph's operations stay the same.
    """
    ops = [getattr(torch.ops.aten, name).input for name in KERNELS]
    before = [dict(op.py_kernels) for op in ops]
    try:
        for op in ops:
            op.py_kernels.update(dict.fromkeys(op.py_kernels, empty_outputs))
            op._dispatch_cache.clear()
        yield
    finally:
        for op, kernels in zip(ops, before, strict=True):
            op.py_kernels.update(kernels)
            op._dispatch_cache.clear()


def empty_outputs(
    steps: Tensor, state: Any, weights: Any, bias: bool, num_layers: int, dropout: float, training: bool,
    bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Tensors of the right shapes, without values."""
    states = [state] if isinstance(state, Tensor) else list(state)
    size = states[0].shape[-1] * (2 if bidirectional else 1)
    outputs = steps.new_empty(steps.shape[0], steps.shape[1], size)
    return outputs, *(torch.empty_like(part) for part in states)
