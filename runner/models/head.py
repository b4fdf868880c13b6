"""The head of a model: the last layer, which is replaced for a new set of classes."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DropoutLinear", "build_head", "find_head", "split_parameters"]

HEAD_NAMES = ("head", "fc", "classifier", "aux_classifier")
SEGMENTER_HEAD_NAMES = ("decoder", "segmentation_head", "classification_head")


class DropoutLinear(nn.Linear):
    """Linear layer with dropout on its input.

    It is a single module rather than a ``Sequential``, so that parameter names equal those of a plain linear
    head and weights files fit with and without dropout.
    """

    def __init__(
        self,
        in_features: Annotated[int, Ge(1)],
        out_features: Annotated[int, Ge(1)],
        dropout: Annotated[float, Ge(0), Lt(1)],
    ) -> None:
        super().__init__(in_features, out_features)
        self.dropout = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, in_features)`` → ``(N, out_features)``."""
        return super().forward(functional.dropout(inputs, self.dropout, self.training))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dropout={self.dropout}"


def build_head(in_features: int, num_classes: int, dropout: float) -> nn.Linear:
    """Builds a linear head, preceded by dropout if ``dropout`` is not 0."""
    if dropout:
        return DropoutLinear(in_features, num_classes, dropout)
    return nn.Linear(in_features, num_classes)


def head_modules(model: nn.Module) -> list[nn.Module]:
    if callable(classifier := getattr(model, "get_classifier", None)):  # timm; a tuple for distilled models
        heads = classifier()
        heads = list(heads) if isinstance(heads, (tuple, list, nn.ModuleList)) else [heads]
    else:
        names = SEGMENTER_HEAD_NAMES if hasattr(model, "segmentation_head") else HEAD_NAMES
        heads = [getattr(model, name, None) for name in names]
    heads = [
        module for module in heads if isinstance(module, nn.Module) and any(True for _ in module.parameters())
    ]
    if heads:
        return heads
    linear: list[nn.Module] = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return linear[-1:]


def find_head(model: nn.Module) -> tuple[str, ...]:
    """Returns the names of the head's modules, as in ``model.named_modules()``.

    The head is the result of timm's ``get_classifier`` if available, all modules except the encoder for
    segmentation models, the attributes ``head``, ``fc`` or ``classifier``, or else the last linear layer.
    Empty if there is none.
    """
    modules = {id(module) for module in head_modules(model)}
    return tuple(name for name, module in model.named_modules() if id(module) in modules)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Splits the parameters of the model into ``(backbone, head)``."""
    head = {id(parameter) for module in head_modules(model) for parameter in module.parameters()}
    backbone = [parameter for parameter in model.parameters() if id(parameter) not in head]
    return backbone, [parameter for parameter in model.parameters() if id(parameter) in head]
