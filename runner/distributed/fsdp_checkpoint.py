"""Sharded checkpoints: a folder to which every rank writes its shards, through
``torch.distributed.checkpoint``.

``rest.pt`` holds everything that is not sharded, with a key for each sharded tensor. Nothing in the folder is
loaded as
code: tensors and ``rest.pt`` are loaded weights-only, the shard metadata by an unpickler with an allow-list
    of classes.
"""

from __future__ import annotations

import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.metadata import StorageMeta, TensorStorageMetadata
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from runner.distributed.collectives import any_across_ranks
from runner.errors import CheckpointError
from runner.run.files import fsync_folder, replace_file

__all__ = [
    "put_optimizer",
    "put_weights",
    "read_optimizer",
    "read_rest",
    "read_weights",
    "read_whole",
    "write_shards",
]

REST = "rest.pt"
SHARED = "shared out as "
"""Prefix of the key that replaces a sharded tensor in ``rest.pt``."""

ALLOWED = {
    ("torch.distributed.checkpoint.metadata", name)
    for name in (
        "Metadata", "MetadataIndex", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata",
        "BytesStorageMetadata", "StorageMeta", "_MEM_FORMAT_ENCODING",
    )
} | {
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.serialization", "_get_layout"),
    ("collections", "OrderedDict"),
    ("pathlib", "PosixPath"),
    ("pathlib", "Path"),
}  # fmt: skip


def write_shards(checkpoint: dict[str, Any], path: Path, is_first: bool) -> None:
    """Writes a sharded checkpoint; the folder gets its final name once all of it is on disk. Every rank must
    call it.

    Raises:
        CheckpointError: a rank could not write.
    """
    tensors: dict[str, DTensor] = {}
    rest = without_shared(checkpoint, tensors)
    temporary = path.with_name(f".{path.name}.tmp")

    def make() -> None:
        if is_first:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)

    def save() -> None:
        dcp.save(tensors, storage_writer=dcp.FileSystemWriter(temporary))

    def finish() -> None:
        if is_first:
            write_rest(rest, temporary / REST)
            fsync_folder(temporary)
            replace_file(temporary, path)

    try:
        for stage in (make, save, finish):
            together(stage, path)
    finally:
        if is_first:
            shutil.rmtree(temporary, ignore_errors=True)


def together(stage: Callable[[], None], path: Path) -> None:
    """Runs a stage on every rank and raises on all of them if it fails on one, so that none waits for the
    failed rank.
    """
    problem: Exception | None = None
    try:
        stage()
    except (OSError, RuntimeError, CheckpointError, dcp.api.CheckpointException) as error:
        problem = error
    if any_across_ranks(problem is not None) == [False]:
        return
    reason = (
        "another rank could not write its shard" if problem is None else str(problem).strip().splitlines()[-1]
    )
    raise CheckpointError(f"{path} cannot be written: {reason}. Earlier checkpoints are kept.") from problem


def write_rest(rest: dict[str, Any], path: Path) -> None:
    with open(path, "wb") as file:
        torch.save(rest, file)
        file.flush()
        os.fsync(file.fileno())
    if foreign := get_unsafe_globals_in_checkpoint(path):
        raise CheckpointError(
            f"it would hold objects that cannot be loaded weights-only: {', '.join(sorted(foreign))}"
        )


def without_shared(value: Any, tensors: dict[str, DTensor], key: str = "") -> Any:
    """A copy of the structure in which a key replaces each sharded tensor; the tensors are added to
    ``tensors``.
    """
    if isinstance(value, DTensor):
        tensors[key] = value
        return SHARED + key
    if isinstance(value, dict):
        return {name: without_shared(item, tensors, f"{key}/{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [without_shared(item, tensors, f"{key}/{place}") for place, item in enumerate(value)]
    return value


def with_shared(value: Any, take: Callable[[str], Tensor]) -> Any:
    if isinstance(value, str) and value.startswith(SHARED):
        return take(value.removeprefix(SHARED))
    if isinstance(value, dict):
        return {name: with_shared(item, take) for name, item in value.items()}
    if isinstance(value, list):
        return [with_shared(item, take) for item in value]
    return value


def read_weights(path: Path, saved: dict[str, Any], module: nn.Module) -> None:
    """Loads this rank's shard of a model, for any world size at the time of writing. Every rank must call it.

    Args:
        saved: the model's part of ``read_rest``.

    Raises:
        CheckpointError: the checkpoint belongs to another model, or is corrupt.
    """
    own = module.state_dict()
    reject_other_names(own, saved)
    targets = {}
    for name, value in saved.items():
        if isinstance(value, str):
            targets[value.removeprefix(SHARED)] = own[name]
        else:
            own[name].copy_(value)
    dcp.load(targets, storage_reader=Reader(path))


def read_optimizer(path: Path, saved: dict[str, Any], optimizer: Any, module: nn.Module) -> None:
    """Loads this rank's shard of an optimizer's state. Every rank must call it."""
    targets: dict[str, Tensor] = {}
    fill_optimizer(optimizer, saved, dict(module.named_parameters()), targets)
    dcp.load(targets, storage_reader=Reader(path))


def fill_optimizer(
    optimizer: Any, saved: dict[str, Any], parameters: dict[str, nn.Parameter], targets: dict[str, Tensor]
) -> None:
    """Restores parameter groups and unsharded state; adds the tensors still to be read to ``targets``, by
    key.
    """
    for group, before in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        group.update({key: value for key, value in before.items() if key != "params"})
        for name in before["params"]:
            parameter, state = parameters[name], optimizer.state[parameters[name]]
            for key, value in saved["state"].get(name, {}).items():
                if isinstance(value, str) and value.startswith(SHARED):
                    state[key] = targets[value.removeprefix(SHARED)] = torch.zeros_like(
                        parameter, requires_grad=False
                    )
                elif isinstance(value, Tensor):
                    stays = key == "step" and not (group.get("fused") or group.get("capturable"))
                    state[key] = value.clone() if stays else value.to(parameter.device, copy=True)
                else:
                    state[key] = value


def reject_other_names(own: dict[str, Any], saved: dict[str, Any]) -> None:
    if own.keys() != saved.keys():
        differ = sorted(own.keys() ^ saved.keys())
        raise CheckpointError(
            f"the checkpoint belongs to another model: only one of them has {', '.join(differ[:5])}."
        )


def read_whole(path: Path) -> dict[str, Any]:
    """The checkpoint as a single device would have written it, in memory.

    Raises:
        CheckpointError: it is corrupt.
    """
    rest, reader = read_rest(path), Reader(path)
    entries = reader.read_metadata().state_dict_metadata
    tensors = {
        key: torch.empty(entry.size, dtype=entry.properties.dtype)
        for key, entry in entries.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    with warnings.catch_warnings():  # a single process reads on purpose
        warnings.simplefilter("ignore", UserWarning)
        dcp.load(tensors, storage_reader=reader, no_dist=True)
    whole = with_shared(rest, tensors.__getitem__)
    whole["optimizer_states"] = [by_number(state) for state in whole["optimizer_states"]]
    return whole


def by_number(saved: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's state in torch's own format: parameters by their index in the groups."""
    names = [name for group in saved["param_groups"] for name in group["params"]]
    places = {name: place for place, name in enumerate(names)}
    groups = [
        {**group, "params": [places[name] for name in group["params"]]} for group in saved["param_groups"]
    ]
    return {"state": {places[name]: state for name, state in saved["state"].items()}, "param_groups": groups}


def put_optimizer(saved: dict[str, Any], optimizer: Any) -> None:
    """Shards an optimizer's full state, which every rank has read, over the ranks."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for place, state in saved["state"].items():
        parameter = parameters[place]
        optimizer.state[parameter] = {
            key: like(parameter, value)
            if isinstance(value, Tensor) and value.shape == parameter.shape
            else value
            for key, value in state.items()
        }
    for group, before in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        group.update({key: value for key, value in before.items() if key != "params"})


@torch.no_grad()
def put_weights(weights: dict[str, Tensor], module: nn.Module) -> None:
    """Loads full weights into a model, sharded or not. Every rank must call it.

    Raises:
        CheckpointError: the weights belong to another model.
    """
    own = module.state_dict()
    reject_other_names(own, weights)
    for name, value in weights.items():
        own[name].copy_(like(own[name], value))


def like(tensor: Tensor, value: Tensor) -> Tensor:
    """``value``, sharded like ``tensor``."""
    if not isinstance(tensor, DTensor):
        return value
    return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements)


def read_rest(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path / REST, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be loaded as a weights-only checkpoint: {reason}") from error


class Reader(dcp.FileSystemReader):
    """Reads the shard metadata without importing the classes it may name."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
        path = self._get_metadata_path(kwargs.get("rank"))
        try:
            with open(path, "rb") as file:
                metadata = NarrowUnpickler(file).load()
        except (OSError, EOFError, AttributeError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{path}: the shard metadata cannot be read: {error}") from error
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class NarrowUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ALLOWED or (
            isinstance(getattr(torch, name, None), torch.dtype) and module == "torch"
        ):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")
