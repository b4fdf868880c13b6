"""Embeddings of samples: the input of a model's last linear layer."""

from __future__ import annotations

from types import TracebackType

from torch import Tensor, nn

from runner.errors import UserError

__all__ = ["LastLinearInput"]


class LastLinearInput:
    """Context manager that records the input of the last linear layer of each forward pass.

    Args:
        model: the model whose forward passes are observed.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.recorded: Tensor | None = None

    def __enter__(self) -> LastLinearInput:
        layers = [module for module in self.model.modules() if isinstance(module, nn.Linear)]
        self.hooks = [layer.register_forward_pre_hook(self.record) for layer in layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self.hooks:
            hook.remove()

    def record(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Forward hook of the linear layers; the last call of a forward pass remains."""
        self.recorded = inputs[0]

    def take(self, num_samples: int) -> Tensor:
        """Returns the recorded vectors, ``(N, D)``, averaged over the steps of sequences, and forgets them.

        Args:
            num_samples: number of samples in the batch, N.

        Raises:
            UserError: the model has no linear layer that receives one vector per sample.
        """
        vectors, self.recorded = self.recorded, None
        if vectors is None or vectors.dim() < 2 or len(vectors) != num_samples:
            raise UserError(
                f"{type(self.model).__name__} has no linear layer that receives one vector per sample, as "
                "classifiers and regressions have, so there is nothing to embed."
            )
        return vectors.flatten(1, -2).mean(1) if vectors.dim() > 2 else vectors
