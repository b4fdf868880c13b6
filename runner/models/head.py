"""Where a model's head is: the last layer, the one a new set of classes replaces."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Lt
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DropoutLinear", "build_head", "find_head", "split_parameters"]

HEAD_NAMES = ("head", "fc", "classifier", "aux_classifier")
SEGMENTER_HEAD_NAMES = ("decoder", "segmentation_head", "classification_head")


class DropoutLinear(nn.Linear):
    """A linear layer whose input is dropped out in training.

    One module and not a ``Sequential``, so that its tensors keep the names of a plain linear head and
    weights files fit with and without dropout.
    """

    def __init__(
        self,
        in_features: Annotated[int, Ge(1)],
        out_features: Annotated[int, Ge(1)],
        dropout: Annotated[float, Ge(0), Lt(1)],
    ):
        super().__init__(in_features, out_features)
        self.dropout = dropout

    def forward(self, inputs: Tensor) -> Tensor:
        """``(N, in_features)`` → ``(N, out_features)``."""
        return super().forward(functional.dropout(inputs, self.dropout, self.training))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dropout={self.dropout}"


def build_head(in_features: int, num_classes: int, dropout: float) -> nn.Linear:
    """A fresh linear head, with dropout before it when there is any."""
    if dropout:
        return DropoutLinear(in_features, num_classes, dropout)
    return nn.Linear(in_features, num_classes)


def head_modules(model: nn.Module) -> list[nn.Module]:
    if callable(classifier := getattr(model, "get_classifier", None)):  # timm; a tuple when distilled
        found = classifier()
        found = list(found) if isinstance(found, (tuple, list, nn.ModuleList)) else [found]
    else:
        names = SEGMENTER_HEAD_NAMES if hasattr(model, "segmentation_head") else HEAD_NAMES
        found = [getattr(model, name, None) for name in names]
    found = [
        module for module in found if isinstance(module, nn.Module) and any(True for _ in module.parameters())
    ]
    if found:
        return found
    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1:]


def find_head(model: nn.Module) -> tuple[str, ...]:
    """Names of the modules that make the head, as ``model.named_modules()`` spells them.

    What timm's ``get_classifier`` returns; else all but the encoder of a segmenter; else the attributes ``head``,
    ``fc`` or ``classifier``; else the last linear layer. Empty when there is nothing of the kind.
    """
    modules = {id(module) for module in head_modules(model)}
    return tuple(name for name, module in model.named_modules() if id(module) in modules)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """``(backbone, head)``: every parameter of the model is in one of the two."""
    head = {id(parameter) for module in head_modules(model) for parameter in module.parameters()}
    backbone = [parameter for parameter in model.parameters() if id(parameter) not in head]
    return backbone, [parameter for parameter in model.parameters() if id(parameter) in head]
