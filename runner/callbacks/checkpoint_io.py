"""Snapshots of the training state, and their atomic, weights-only reading and writing."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning_fabric.plugins import CheckpointIO
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from runner.distributed.fsdp_checkpoint import read_whole
from runner.errors import CheckpointError
from runner.run.checkpoints import describe_damage, read_index
from runner.run.files import cannot_write, replace_file

__all__ = ["RunCheckpointIO", "snapshot"]


def snapshot(value: Any) -> Any:
    """Nested containers with every tensor copied into main memory.

    Tensors that share their memory share it in the copy too, and so do containers: saving the copy writes the
        same
    bytes as saving the original would have.
    """
    return _copied(value, {}, {})


def _copied(value: Any, seen: dict[int, Any], storages: dict[int, Any]) -> Any:
    if value is None or isinstance(
        value, str | bytes | int | float | complex | bool | torch.dtype | torch.device
    ):
        return value
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, Tensor):
        copied = _tensor(value, storages)
    elif isinstance(value, dict):
        copied = copy.copy(value)  # its type, and what a state_dict keeps beside its items
        for key, item in value.items():
            copied[key] = _copied(item, seen, storages)
    elif isinstance(value, list):
        copied = [_copied(item, seen, storages) for item in value]
    elif isinstance(value, tuple):
        items = [_copied(item, seen, storages) for item in value]
        copied = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    else:
        copied = copy.deepcopy(value)
    seen[id(value)] = copied
    return copied


def _tensor(tensor: Tensor, storages: dict[int, Any]) -> Tensor:
    tensor = tensor.detach()
    if type(tensor) is not Tensor or tensor.layout != torch.strided or tensor.is_quantized:
        return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
    storage = tensor.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = storage.clone() if storage.device.type == "cpu" else storage.cpu()
    copied = torch.empty(0, dtype=tensor.dtype)
    return copied.set_(storages[storage._cdata], tensor.storage_offset(), tensor.size(), tensor.stride())


class RunCheckpointIO(CheckpointIO):
    """Writes beside the target, syncs, renames, syncs the folder; reads weights only, by their SHA-256.

    Attributes:
        digests: SHA-256 of each file written by this process, by file name.
        hold: what is to be saved is only handed over, to ``held``, and not written here.
        held: the checkpoint and its path.
    """

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.hold = False
        self.held: tuple[dict[str, Any], Path] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Replaces ``path``; an existing file is kept until the new one is complete.

        Raises:
            CheckpointError: the folder or disk does not take it, or it holds what could not be loaded again.
        """
        if self.hold:
            self.held = (checkpoint, Path(path))
        else:
            self.write(checkpoint, Path(path))

    def write(self, checkpoint: dict[str, Any], path: Path) -> None:
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with open(temporary, "wb") as file:
                writer = HashingWriter(file)
                torch.save(checkpoint, writer)
                writer.finish()
            reject_code(temporary, path)
            replace_file(temporary, path)
        except OSError as error:
            raise CheckpointError(cannot_write(path, error)) from error
        finally:
            temporary.unlink(missing_ok=True)
        self.digests[path.name] = writer.sha256.hexdigest()

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Callable | str | torch.device | None = "cpu",
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Tensors and plain containers of a file; ``weights_only`` is not asked.

        Raises:
            CheckpointError: it is absent, damaged, or would run code.
        """
        path = Path(path)
        self.check(path)
        if path.is_dir():
            return read_whole(path)
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except FileNotFoundError as error:
            raise CheckpointError(f"there is no checkpoint {path}.") from error
        except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0]
            raise CheckpointError(
                f"{path} is no checkpoint that can be loaded weights-only: {reason}"
            ) from error

    def check(self, path: Path) -> None:
        """
        Raises:
            CheckpointError: its bytes are not those that were written.
        """
        for entry in read_index(path.parent):
            if entry.file == path.name and (problem := describe_damage(entry)):
                raise CheckpointError(f"{problem}. `runner resume` takes the newest one that is unharmed.")

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


class HashingWriter:
    """A file for ``torch.save`` that counts and hashes what passes.

    The first failure is kept for ``finish``: torch's archive writer turns an error raised underneath it into
    one that does not say why.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        if self.error is None:
            try:
                self.file.write(data)
                self.sha256.update(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Nothing to do before ``finish``."""

    def finish(self) -> None:
        """Raises what went wrong, or makes the bytes durable."""
        if self.error is not None:
            raise self.error
        self.file.flush()
        os.fsync(self.file.fileno())


def reject_code(written: Path, path: Path) -> None:
    foreign = get_unsafe_globals_in_checkpoint(written)
    if foreign:
        raise CheckpointError(
            f"{path.name} would hold objects that cannot be loaded weights-only: "
            f"{', '.join(sorted(foreign))}. "
            "Keep tensors, numbers, strings, lists and dicts in the states of callbacks and in "
            "hyperparameters."
        )
