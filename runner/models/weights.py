"""Loading of weights into models that may have another head."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from runner.errors import WeightsError
from runner.models.head import find_head

__all__ = ["Skipped", "WeightsReport", "fit_weights", "load_weights", "read_weights"]

PICKLED = (".pt", ".pth", ".ckpt", ".bin")
NESTED_KEYS = ("state_dict", "model_state_dict", "model", "module", "weights")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads the tensors of a ``.safetensors``, ``.pt``, ``.pth``, ``.ckpt`` or ``.bin`` file by name.

    State dicts nested in a checkpoint (under ``state_dict`` or similar keys) are found automatically.

    Raises:
        WeightsError: the file does not exist, has another format, is corrupt, would execute code, or contains
            no tensors.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(_absent(path))
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path, device="cpu")
        except (safetensors.SafetensorError, OSError) as error:
            raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
    if path.suffix in PICKLED:
        return _find_tensors(_load_pickled(path), path)
    raise WeightsError(
        f"{path}: weights are expected in .safetensors, {', '.join(PICKLED)}; not {path.suffix!r}."
    )


def _load_pickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # warnings about the pickle protocol are irrelevant to users
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if named := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise WeightsError(
                f"{path} contains more than tensors: loading it would run {named[1]}, so it is rejected. "
                "If you trust the file, save only its state_dict(), preferably as .safetensors."
            ) from error
        raise WeightsError(f"{path} is corrupt, or not a PyTorch weights file.") from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is corrupt, or not a PyTorch weights file.") from error


def _find_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        for key in NESTED_KEYS:
            if isinstance(content.get(key), Mapping):
                return _find_tensors(content[key], path)
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        if tensors:
            return tensors
        content_type = (
            f"a mapping with the keys {', '.join(map(str, list(content)[:8]))}"
            if content
            else "an empty mapping"
        )
    else:
        content_type = f"a {type(content).__name__}"
    raise WeightsError(
        f"{path} contains {content_type}; expected a state dict (names and tensors), "
        f"at the top level or under one of: {', '.join(NESTED_KEYS)}."
    )


def _absent(path: Path) -> str:
    if path.is_dir():
        files = sorted(file.name for file in path.iterdir() if file.suffix in (".safetensors", *PICKLED))
        return (
            f"weights={path} is a folder; a file was expected. In it: "
            f"{', '.join(files) or 'no weights file'}."
        )
    siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, siblings, n=3)
    return f"No such weights file: {path}." + (f" Similar files: {', '.join(near)}." if near else "")


PREFIXES = ("model.", "module.", "backbone.", "_orig_mod.")
"""Prefixes that wrappers add to parameter names."""
FEATURES = "features."
ENCODERS = ("encoder.", "encoder.model.", "backbone.", "backbone.body.")
"""Prefixes under which segmentation and detection models contain their backbone."""


class Skipped(NamedTuple):
    """A tensor of a file that does not fit the model.

    Attributes:
        name: name of the tensor.
        shape_file: shape in the file.
        shape_model: shape in the model.
    """

    name: str
    shape_file: tuple[int, ...]
    shape_model: tuple[int, ...]


@dataclass
class WeightsReport:
    """Result of loading weights into a model.

    Attributes:
        source: the file, or the name of published weights.
        loaded: tensors of the model that were loaded.
        skipped: tensors of the head with another shape, which keep their initial values.
        missing: tensors of the model that are not in the file and keep their initial values.
        unexpected: tensors of the file that are not in the model.
        adapted: the loaded tensors of a single-channel stem, summed over the RGB channels of the file.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    adapted: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """Report as text, one line per category of tensors."""
        lines = [f"Weights from {self.source}: {_tensors(len(self.loaded))} loaded."]
        if self.adapted:
            lines.append(f"Summed over red, green and blue for one channel: {', '.join(self.adapted)}.")
        if self.skipped:
            shapes = [f"{s.name} (file {s.shape_file}, model {s.shape_model})" for s in self.skipped]
            lines.append(f"New head, not loaded: {_some(shapes)}.")
        if self.missing:
            lines.append(
                f"Not in the file, randomly initialized, {_tensors(len(self.missing))}: "
                f"{_some(self.missing)}."
            )
        if self.unexpected:
            lines.append(f"Only in the file, {_tensors(len(self.unexpected))}: {_some(self.unexpected)}.")
        return "\n".join(lines)


def load_weights(model: nn.Module, path: str | Path) -> WeightsReport:
    """Loads a safetensors or weights-only PyTorch file into ``model``.

    A head of another size keeps its initial values.

    Raises:
        WeightsError: the file cannot be read, no tensor fits, or a tensor outside the head has another shape.
    """
    return fit_weights(model, read_weights(path), source=str(path))


def fit_weights(model: nn.Module, state: Mapping[str, Tensor], source: str) -> WeightsReport:
    """Loads named tensors into ``model``, as `load_weights` does from a file."""
    own = model.state_dict()
    names = _rename(state, own)
    tensors = {new: state[name] for name, new in names.items()}
    report = WeightsReport(source, unexpected=sorted(name for name, new in names.items() if new not in own))
    head = find_head(model)
    resized = {name.rpartition(".")[0] for name in _misfits(tensors, own) if _is_inside(name, head)}
    stem = next(
        (f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Conv2d)), None
    )
    filled, wrong = {}, []
    for name, current in own.items():
        if name not in tensors:
            report.missing.append(name)
        elif name.rpartition(".")[0] in resized:
            report.skipped.append(Skipped(name, tuple(tensors[name].shape), tuple(current.shape)))
        elif tensors[name].shape == current.shape:
            filled[name] = tensors[name]
        elif name == stem and _is_gray_of_rgb(current, tensors[name]):
            filled[name] = tensors[name].sum(1, keepdim=True)
            report.adapted.append(name)
        else:
            wrong.append(Skipped(name, tuple(tensors[name].shape), tuple(current.shape)))
    report.loaded = list(filled)
    _refuse(report, wrong, state, own)
    with torch.no_grad():
        for name, tensor in filled.items():
            own[name].copy_(tensor)
    return report


def _refuse(report: WeightsReport, wrong: list[Skipped], state: Mapping[str, Tensor], own: Mapping) -> None:
    if wrong:
        shapes = [f"{s.name} (file {s.shape_file}, model {s.shape_model})" for s in wrong]
        raise WeightsError(
            f"{report.source} was made for another model: {_tensors(len(wrong))} outside the head differ in "
            "shape: "
            f"{_some(shapes)}. Choose the model the file was made for."
        )
    if not report.loaded:
        raise WeightsError(
            f"Nothing in {report.source} fits the model. Its tensors: {_some(list(state))}. "
            f"The model's: {_some(list(own))}. Choose the model the file was made for."
            + (" To load weights of a classifier, use model.backbone_weights=FILE." * _has_backbone(own))
        )


def _has_backbone(own: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("backbone.") for name in own)


def _rename(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """Maps the tensor names of a file to those of the model.

    Removes prefixes of wrappers (``model.``, ``module.`` …) and adds prefixes of encoders, whichever matches
    the most names.
    """
    bare = stripped = [{name: name for name in state}]
    for _ in range(3):
        stripped = [
            {name: new.removeprefix(prefix) for name, new in variant.items()}
            for variant in stripped
            for prefix in PREFIXES
            if any(new.startswith(prefix) for new in variant.values())
        ]
        bare = bare + stripped
    inside = [
        {name: encoder + new.removeprefix(cut) for name, new in variant.items()}
        for variant in bare
        for encoder in ENCODERS
        for cut in ("", FEATURES)
        if any(new.startswith(encoder) for new in own)
    ]
    return max([*bare, *inside], key=lambda variant: sum(new in own for new in variant.values()))


def _misfits(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    return [name for name, current in own.items() if name in tensors and tensors[name].shape != current.shape]


def _is_inside(name: str, modules: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


def _is_gray_of_rgb(current: Tensor, tensor: Tensor) -> bool:
    return (
        current.ndim == 4
        and tensor.shape == (current.shape[0], 3, *current.shape[2:])
        and current.shape[1] == 1
    )


def _tensors(count: int) -> str:
    return f"{count} tensor" if count == 1 else f"{count} tensors"


def _some(names: list[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
