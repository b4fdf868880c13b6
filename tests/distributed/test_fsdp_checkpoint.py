"""Sharded checkpoints hold tensors; anything else in the folder is rejected without being unpickled."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from runner.distributed.fsdp_checkpoint import Reader, TensorPlanner, load_tensors
from runner.errors import CheckpointError

pytestmark = pytest.mark.attack("checkpoints")


class Marker:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def write(path: Path, state: dict) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(state, storage_writer=dcp.FileSystemWriter(path), no_dist=True)
    return path


def read(path: Path, targets: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_tensors(path, targets, no_dist=True)


def test_tensors_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "step1", {"weight": torch.arange(6.0).reshape(2, 3)})
    target = torch.zeros(2, 3)
    read(path, {"weight": target})
    assert target.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_pickled_entry_is_rejected_and_not_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = write(tmp_path / "step1", {"weight": Marker(marker), "other": torch.zeros(1)})
    for target in ("weight", "other"):
        with pytest.raises(CheckpointError, match="BytesStorageMetadata"):
            read(path, {target: torch.zeros(1)})
    assert not marker.exists()


def test_planner_never_unpickles(tmp_path: Path) -> None:
    """Even if the metadata could be read, as torch's own reader does."""
    marker = tmp_path / "marker"
    path = write(tmp_path / "step1", {"weight": Marker(marker)})
    state = {"weight": "a value that is not a tensor"}
    with warnings.catch_warnings(), pytest.raises((CheckpointError, dcp.api.CheckpointException)):
        warnings.simplefilter("ignore")
        dcp.load(state, storage_reader=dcp.FileSystemReader(path), planner=TensorPlanner(), no_dist=True)
    assert not marker.exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.load(state, storage_reader=dcp.FileSystemReader(path), no_dist=True)
    assert marker.exists(), "torch's own planner does"


def test_metadata_that_name_other_classes_are_rejected(tmp_path: Path) -> None:
    path = write(tmp_path / "step1", {"weight": torch.zeros(1)})
    marker = tmp_path / "marker"
    (path / ".metadata").write_bytes(pickle.dumps(Marker(marker)))
    with pytest.raises(CheckpointError, match="cannot be read"):
        read(path, {"weight": torch.zeros(1)})
    (path / ".metadata").write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(CheckpointError, match="holds a dict"):
        read(path, {"weight": torch.zeros(1)})
    assert not marker.exists()


def test_files_outside_the_folder_are_not_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "step1", {"weight": torch.zeros(1)})
    metadata = Reader(path).read_metadata()
    for entry in metadata.storage_data.values():
        entry.relative_path = "../secret"
    (path / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(CheckpointError, match=r"'\.\./secret' outside"):
        read(path, {"weight": torch.zeros(1)})


def test_missing_and_reshaped_entries_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "step1", {"weight": torch.zeros(2)})
    with pytest.raises(CheckpointError, match="'bias' is missing"):
        read(path, {"bias": torch.zeros(2)})
    with pytest.raises(CheckpointError, match=r"shape \[2\], expected \[3\]"):
        read(path, {"weight": torch.zeros(3)})
