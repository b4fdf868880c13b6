"""Sharded checkpoints: folders to which every rank writes its shards with ``torch.distributed.checkpoint``.

``rest.pt`` holds everything that is not sharded, with a key for each sharded tensor. Nothing in the folder is
executed as code: tensors and ``rest.pt`` are loaded weights-only, the shard metadata by an unpickler with an
allow-list of classes, and entries that are not tensors are rejected. (The default planner of torch 2.15 calls
``torch.load(weights_only=False)`` for an entry that the metadata declare as bytes.)
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
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from runner.distributed.collectives import any_across_ranks
from runner.distributed.load_errors import LOAD_ERRORS, load_reason
from runner.errors import CheckpointError
from runner.run.files import fsync_folder, replace_file
from runner.run.migrations import migrate_checkpoint

__all__ = [
    "copy_weights",
    "load_optimizer",
    "read_optimizer",
    "read_rest",
    "read_weights",
    "read_whole",
    "write_shards",
]

REST = "rest.pt"
SHARDED = "shared out as "
"""Prefix of the key that replaces a sharded tensor in ``rest.pt``; part of the format."""

ALLOWED_CLASSES = {
    ("torch.distributed.checkpoint.metadata", name)
    for name in (
        "Metadata", "MetadataIndex", "TensorStorageMetadata", "TensorProperties", "ChunkStorageMetadata",
        "StorageMeta", "_MEM_FORMAT_ENCODING",
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
    """Write a sharded checkpoint; the folder gets its final name once all of it is on disk.

    Every rank must call it.

    Args:
        checkpoint: the checkpoint, with this rank's shards.
        path: the folder.
        is_first: whether this is rank 0.

    Raises:
        CheckpointError: a rank could not write.
    """
    tensors: dict[str, DTensor] = {}
    rest = without_sharded(checkpoint, tensors)
    temporary = path.with_name(f".{path.name}.tmp")

    def prepare() -> None:
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
        for stage in (prepare, save, finish):
            run_on_all_ranks(stage, path)
    finally:
        if is_first:
            shutil.rmtree(temporary, ignore_errors=True)


def run_on_all_ranks(stage: Callable[[], None], path: Path) -> None:
    """Run a stage on every rank; if it fails on one, raise on all, so that none waits for the failed rank.

    Args:
        stage: the function to call.
        path: the checkpoint, for the message.

    Raises:
        CheckpointError: the stage failed on any rank.
    """
    problem: BaseException | None = None  # CheckpointException of torch 2.15 is not an Exception
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
    """Write the unsharded part of a checkpoint.

    Raises:
        CheckpointError: it contains objects that cannot be loaded weights-only.
    """
    with open(path, "wb") as file:
        torch.save(rest, file)
        file.flush()
        os.fsync(file.fileno())
    if unsafe := get_unsafe_globals_in_checkpoint(path):
        raise CheckpointError(
            f"it would contain objects that cannot be loaded weights-only: {', '.join(sorted(unsafe))}"
        )


def without_sharded(value: Any, tensors: dict[str, DTensor], key: str = "") -> Any:
    """Copy nested containers, replacing each sharded tensor by a key.

    Args:
        value: containers, tensors and other values.
        tensors: the sharded tensors are added to it, by key.
        key: path of ``value``.
    """
    if isinstance(value, DTensor):
        tensors[key] = value
        return SHARDED + key
    if isinstance(value, dict):
        return {name: without_sharded(item, tensors, f"{key}/{name}") for name, item in value.items()}
    if isinstance(value, list):
        return [without_sharded(item, tensors, f"{key}/{index}") for index, item in enumerate(value)]
    return value


def with_sharded(value: Any, tensor_of: Callable[[str], Tensor]) -> Any:
    """Copy nested containers, replacing each key of a sharded tensor by the tensor."""
    if isinstance(value, str) and value.startswith(SHARDED):
        return tensor_of(value.removeprefix(SHARDED))
    if isinstance(value, dict):
        return {name: with_sharded(item, tensor_of) for name, item in value.items()}
    if isinstance(value, list):
        return [with_sharded(item, tensor_of) for item in value]
    return value


def read_weights(path: Path, saved: dict[str, Any], module: nn.Module) -> None:
    """Load this rank's shard of a model, written with any world size. Every rank must call it.

    Args:
        path: the checkpoint folder.
        saved: the model's part of ``read_rest``.
        module: the sharded model.

    Raises:
        CheckpointError: the checkpoint belongs to another model, or is corrupt.
    """
    state = module.state_dict()
    reject_other_names(state, saved)
    targets = {}
    for name, value in saved.items():
        if isinstance(value, str):
            targets[value.removeprefix(SHARDED)] = state[name]
        else:
            state[name].copy_(value)
    load_tensors(path, targets)


def read_optimizer(path: Path, saved: dict[str, Any], optimizer: Any, module: nn.Module) -> None:
    """Load this rank's shard of an optimizer's state. Every rank must call it.

    Args:
        path: the checkpoint folder.
        saved: the optimizer's part of ``read_rest``.
        optimizer: the optimizer.
        module: the model, whose parameter names identify the state.
    """
    targets: dict[str, Tensor] = {}
    fill_optimizer(optimizer, saved, dict(module.named_parameters()), targets)
    load_tensors(path, targets)


def load_tensors(path: Path, targets: dict[str, Tensor], **options: Any) -> None:
    """Read tensors from the shards.

    Args:
        path: the checkpoint folder.
        targets: the tensors to fill, by key.
        **options: of ``dcp.load``.

    Raises:
        CheckpointError: an entry is missing, is not a tensor, or has another shape.
    """
    reader = Reader(path)
    entries = reader.read_metadata().state_dict_metadata
    for key, target in targets.items():
        entry = entries.get(key)
        if not isinstance(entry, TensorStorageMetadata):
            kind = "missing" if entry is None else f"a {type(entry).__name__}, not a tensor"
            raise CheckpointError(f"{path}: the entry {key!r} is {kind}.")
        if entry.size != target.shape:
            raise CheckpointError(
                f"{path}: the entry {key!r} has the shape {list(entry.size)}, expected {list(target.shape)}."
            )
    try:
        dcp.load(targets, storage_reader=reader, planner=TensorPlanner(), **options)
    except (dcp.api.CheckpointException, OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise CheckpointError(f"{path}: the shards cannot be read: {reason}") from error


class TensorPlanner(DefaultLoadPlanner):
    """Reads tensors only."""

    def load_bytes(self, read_item: Any, value: Any) -> None:
        """Reject an entry of bytes, which the base class would unpickle.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError(f"the entry {read_item.storage_index.fqn!r} is not a tensor.")


def fill_optimizer(
    optimizer: Any, saved: dict[str, Any], parameters: dict[str, nn.Parameter], targets: dict[str, Tensor]
) -> None:
    """Restore parameter groups and unsharded state.

    Args:
        optimizer: the optimizer.
        saved: its part of ``read_rest``.
        parameters: parameters of the model by name.
        targets: the tensors that must be read from the shards are added to it, by key.
    """
    for group, saved_group in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        group.update({key: value for key, value in saved_group.items() if key != "params"})
        for name in saved_group["params"]:
            parameter, state = parameters[name], optimizer.state[parameters[name]]
            for key, value in saved["state"].get(name, {}).items():
                if isinstance(value, str) and value.startswith(SHARDED):
                    target = torch.zeros_like(parameter, requires_grad=False)
                    state[key] = targets[value.removeprefix(SHARDED)] = target
                elif isinstance(value, Tensor):
                    stays_on_cpu = key == "step" and not (group.get("fused") or group.get("capturable"))
                    state[key] = value.clone() if stays_on_cpu else value.to(parameter.device, copy=True)
                else:
                    state[key] = value


def reject_other_names(state: dict[str, Any], saved: dict[str, Any]) -> None:
    """Check that a state dict has the names of the model.

    Raises:
        CheckpointError: it has others.
    """
    if state.keys() != saved.keys():
        differ = sorted(state.keys() ^ saved.keys())
        raise CheckpointError(
            f"the checkpoint belongs to another model: only one of them has {', '.join(differ[:5])}."
        )


def read_whole(path: Path) -> dict[str, Any]:
    """Read a checkpoint into memory in the format of a single device.

    Raises:
        CheckpointError: the checkpoint is corrupt.
    """
    rest = read_rest(path)
    entries = Reader(path).read_metadata().state_dict_metadata
    tensors = {
        key: torch.empty(entry.size, dtype=entry.properties.dtype)
        for key, entry in entries.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch 2.15 warns of reading in a single process
        load_tensors(path, tensors, no_dist=True)
    whole = with_sharded(rest, tensors.__getitem__)
    whole["optimizer_states"] = [by_index(state) for state in whole["optimizer_states"]]
    return whole


def by_index(saved: dict[str, Any]) -> dict[str, Any]:
    """Convert an optimizer's state to torch's format, in which parameters are indices into the groups."""
    names = [name for group in saved["param_groups"] for name in group["params"]]
    indices = {name: index for index, name in enumerate(names)}
    groups = [
        {**group, "params": [indices[name] for name in group["params"]]} for group in saved["param_groups"]
    ]
    return {"state": {indices[name]: state for name, state in saved["state"].items()}, "param_groups": groups}


def load_optimizer(saved: dict[str, Any], optimizer: Any) -> None:
    """Shard an optimizer's full state, which every rank has read, over the ranks."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, state in saved["state"].items():
        parameter = parameters[index]
        optimizer.state[parameter] = {
            key: sharded_like(parameter, value)
            if isinstance(value, Tensor) and value.shape == parameter.shape
            else value
            for key, value in state.items()
        }
    for group, saved_group in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        group.update({key: value for key, value in saved_group.items() if key != "params"})


@torch.no_grad()
def copy_weights(weights: dict[str, Tensor], module: nn.Module) -> None:
    """Load full weights into a model, sharded or not. Every rank must call it.

    Raises:
        CheckpointError: the weights belong to another model.
    """
    state = module.state_dict()
    reject_other_names(state, weights)
    for name, value in weights.items():
        state[name].copy_(sharded_like(state[name], value))


def sharded_like(tensor: Tensor, value: Tensor) -> Tensor:
    """Return ``value``, sharded like ``tensor``."""
    if not isinstance(tensor, DTensor):
        return value
    return distribute_tensor(value.to(tensor.device), tensor.device_mesh, tensor.placements)


def read_rest(path: Path) -> dict[str, Any]:
    """Read the unsharded part of a checkpoint folder.

    Raises:
        CheckpointError: the file does not exist or cannot be loaded weights-only.
    """
    try:
        return migrate_checkpoint(torch.load(path / REST, map_location="cpu", weights_only=True))
    except LOAD_ERRORS as error:
        reason = load_reason(error)
        raise CheckpointError(f"{path} cannot be loaded as a weights-only checkpoint: {reason}.") from error


class Reader(dcp.FileSystemReader):
    """Reads the shard metadata without importing the classes it may name."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Any:
        """Read the shard metadata.

        Raises:
            CheckpointError: the file cannot be read, names a class that is not allowed, or refers to a file
                outside the folder.
        """
        path = self._get_metadata_path(kwargs.get("rank"))
        try:
            with open(path, "rb") as file:
                metadata = AllowListUnpickler(file).load()
        except (OSError, EOFError, AttributeError, ValueError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{path}: the shard metadata cannot be read: {error}") from error
        if not isinstance(metadata, Metadata):
            raise CheckpointError(f"{path}: holds a {type(metadata).__name__}, not the metadata of shards.")
        for entry in (metadata.storage_data or {}).values():
            if Path(entry.relative_path).name != entry.relative_path:
                raise CheckpointError(f"{path}: refers to {entry.relative_path!r} outside the checkpoint.")
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class AllowListUnpickler(pickle.Unpickler):
    """Unpickler that only resolves the classes of shard metadata and dtypes."""

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if (module, name) in ALLOWED_CLASSES or is_dtype:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")
