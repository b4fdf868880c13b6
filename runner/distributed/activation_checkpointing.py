"""Activation checkpointing: recomputes a block's activations in the backward pass instead of storing them.

Chen et al., "Training deep nets with sublinear memory cost" (2016), https://arxiv.org/abs/1604.06174
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from runner.distributed.blocks import find_blocks
from runner.errors import ConfigError, Problem

__all__ = ["checkpoint_activations"]


class Recomputed(nn.Module):
    """Base class added to the class of a block.

    Changing the class instead of wrapping the block keeps the names of its parameters, and its hooks and
    copies valid.
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        forward = super().forward
        if not (self.training and torch.is_grad_enabled()):
            return forward(*args, **kwargs)
        contexts = partial(contexts_of, self)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


def contexts_of(block: nn.Module) -> tuple[Any, Any]:
    """Return the contexts of the forward pass and of its recomputation."""
    return nullcontext(), preserve_statistics(block)


@contextmanager
def preserve_statistics(block: nn.Module) -> Iterator[None]:
    """Restore the running statistics after the block, since the norms have already counted this batch."""
    stored = [
        (module._buffers, dict(module._buffers))
        for module in block.modules()
        if getattr(module, "track_running_stats", 0)
    ]
    for buffers, originals in stored:
        copies = {name: None if buffer is None else buffer.clone() for name, buffer in originals.items()}
        buffers.update(copies)
    try:
        yield
    finally:
        for buffers, originals in stored:
            buffers.update(originals)


def checkpoint_activations(model: nn.Module, pattern: str | None = None) -> int:
    """Make the model's blocks recompute their activations in the backward pass.

    Args:
        model: the model; the classes of its blocks are changed.
        pattern: a pattern of block names; None selects the repeated blocks.

    Returns:
        The number of blocks.

    Raises:
        ConfigError: no block matches.
    """
    blocks = find_blocks(model, pattern)
    if not blocks:
        value = "true" if pattern is None else pattern
        reason = "no module name matches" if pattern is not None else "it has no repeated blocks"
        names = [name for name, _ in model.named_modules() if name][:6]
        text = (
            f"hardware.activation_checkpointing={value} would have no effect on {type(model).__name__}: "
            f"{reason}."
        )
        remedy = f"Remove it, or give a pattern of module names (available: {', '.join(names) or 'none'} …)."
        raise ConfigError(Problem("hardware.activation_checkpointing", text, "no_effect", remedy))
    for block in blocks.values():
        kind = type(block)
        block.__class__ = type(kind.__name__, (Recomputed, kind), {"__module__": kind.__module__})
    return len(blocks)
