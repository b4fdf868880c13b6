"""Reads and writes checkpoints atomically and weights-only.

Lightning 2.6 (``_atomic_save``) first writes to ``$TMPDIR``, which may be another file system, never calls
fsync, and silently skips folders that are not writable; hence a ``CheckpointIO`` of our own.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning_fabric.plugins import CheckpointIO
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from runner.distributed.fsdp_checkpoint import read_whole
from runner.distributed.load_errors import LOAD_ERRORS, load_reason
from runner.errors import CheckpointError
from runner.run.checkpoints import describe_damage, read_index
from runner.run.files import cannot_write, replace_file
from runner.run.migrations import migrate_checkpoint

__all__ = ["RunCheckpointIO", "snapshot"]


def snapshot(value: Any) -> Any:
    """Copy nested containers with every tensor into main memory.

    Tensors and containers that are shared in the original are shared in the copy, so saving the copy writes
    the same bytes as saving the original.
    """
    return _copied(value, {}, {})


def _copied(value: Any, copies: dict[int, Any], storages: dict[int, Any]) -> Any:
    if value is None or isinstance(
        value, str | bytes | int | float | complex | bool | torch.dtype | torch.device
    ):
        return value
    if id(value) in copies:
        return copies[id(value)]
    copied: Any
    if isinstance(value, Tensor):
        copied = _copied_tensor(value, storages)
    elif isinstance(value, dict):
        copied = copy.copy(value)  # keeps the type and attributes such as the metadata of a state_dict
        for key, item in value.items():
            copied[key] = _copied(item, copies, storages)
    elif isinstance(value, list):
        copied = [_copied(item, copies, storages) for item in value]
    elif isinstance(value, tuple):
        items = [_copied(item, copies, storages) for item in value]
        copied = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    else:
        copied = copy.deepcopy(value)
    copies[id(value)] = copied
    return copied


def _copied_tensor(tensor: Tensor, storages: dict[int, Any]) -> Tensor:
    tensor = tensor.detach()
    if type(tensor) is not Tensor or tensor.layout != torch.strided or tensor.is_quantized:
        return tensor.cpu() if tensor.device.type != "cpu" else tensor.clone()
    storage = tensor.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = storage.clone() if storage.device.type == "cpu" else storage.cpu()
    copied = torch.empty(0, dtype=tensor.dtype)
    return copied.set_(storages[storage._cdata], tensor.storage_offset(), tensor.size(), tensor.stride())


class RunCheckpointIO(CheckpointIO):
    """Writes to a temporary file in the target's folder, syncs and renames it; verifies SHA-256 on reading.

    Attributes:
        digests: SHA-256 of each file written by this process, by file name.
        defer_writing: store the next checkpoint in ``deferred`` instead of writing it.
        deferred: the checkpoint and its path.
    """

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.defer_writing = False
        self.deferred: tuple[dict[str, Any], Path] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Replace ``path``; an existing file is kept until the new one is complete.

        Raises:
            CheckpointError: the file cannot be written, or the checkpoint holds objects that cannot be loaded
                weights-only.
        """
        if self.defer_writing:
            self.deferred = (checkpoint, Path(path))
        else:
            self.write(checkpoint, Path(path))

    def write(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Write the checkpoint, also if ``defer_writing`` is set; see ``save_checkpoint``."""
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with open(temporary, "wb") as file:
                writer = HashingWriter(file)
                torch.save(checkpoint, writer)  # type: ignore[arg-type]  # torch only calls write and flush
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
        """Load tensors and plain containers; always weights-only, whatever ``weights_only`` says.

        Raises:
            CheckpointError: the checkpoint does not exist, is damaged, or would execute code.
        """
        path = Path(path)
        self.check(path)
        if path.is_dir():
            return read_whole(path)
        try:
            return migrate_checkpoint(torch.load(path, map_location=map_location, weights_only=True))
        except FileNotFoundError as error:
            raise CheckpointError(f"checkpoint {path} does not exist.") from error
        except LOAD_ERRORS as error:
            raise CheckpointError(f"{path} cannot be loaded weights-only: {load_reason(error)}.") from error

    def check(self, path: Path) -> None:
        """Check a checkpoint against its SHA-256 in the index of its folder.

        Raises:
            CheckpointError: the file has changed since it was written.
        """
        for entry in read_index(path.parent):
            if entry.file == path.name and (problem := describe_damage(entry)):
                raise CheckpointError(f"{problem}. `runner resume` falls back to the newest intact one.")

    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


class HashingWriter:
    """File object for ``torch.save`` that hashes the bytes it writes.

    The first error is raised by ``finish``: torch 2.15's archive writer replaces exceptions of the underlying
    file by an error without a reason.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.sha256 = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write and hash ``data``; after an error, do nothing."""
        if self.error is None:
            try:
                self.file.write(data)
                self.sha256.update(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Do nothing; ``finish`` flushes."""

    def finish(self) -> None:
        """Flush and sync the file, or raise the first error."""
        if self.error is not None:
            raise self.error
        self.file.flush()
        os.fsync(self.file.fileno())


def reject_code(written: Path, path: Path) -> None:
    """Check that a file can be loaded weights-only.

    Args:
        written: the file.
        path: its final path, for the message.

    Raises:
        CheckpointError: it cannot.
    """
    unsafe = get_unsafe_globals_in_checkpoint(written)
    if unsafe:
        raise CheckpointError(
            f"{path.name} would contain objects that cannot be loaded weights-only: "
            f"{', '.join(sorted(unsafe))}. Store only tensors, numbers, strings, lists and dicts in "
            "hyperparameters and in the states of callbacks."
        )
