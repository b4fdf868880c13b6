import os
import subprocess
from pathlib import Path

import pytest

from runner.callbacks.checkpoint_store import check_folder, free_path
from runner.errors import CheckpointError


def test_insufficient_disk_space_is_reported_before_training(small_disk: Path) -> None:
    with pytest.raises(CheckpointError, match="has 0 MiB free; the checkpoints of this run need about 3 MiB"):
        check_folder(small_disk, 3 * 2**20)
    check_folder(small_disk, 1000)


def test_read_only_folder_is_reported_before_training(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(CheckpointError, match="cannot be written: Read-only file system"):
        check_folder(small_disk)


def test_path_that_is_not_a_folder_is_reported_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot be written: Not a directory. Choose another folder"):
        check_folder(tmp_path / "file" / "checkpoints")


def test_temporary_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-00000001.ckpt.tmp").write_bytes(b"half")
    (tmp_path / ".index.json.1234.tmp").write_bytes(b"half")
    check_folder(tmp_path)
    assert os.listdir(tmp_path) == []


def test_second_checkpoint_of_a_step_gets_its_own_name(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = free_path(tmp_path, 12)
        path.touch()
        names.append(path.name)
    assert names == ["step-00000012.ckpt", "step-00000012-2.ckpt", "step-00000012-3.ckpt"]
